package session

import (
	"encoding/binary"
	"math"
	"time"
)

func appendRun[T ~string | ~[]byte](b []byte, run T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(run))), run...)
}

// reader takes apart what pack has put together. After the first thing that does not fit it is bad and gives zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) number(limit uint64) uint64 {
	n, size := binary.Uvarint(r.b)
	if r.bad || size <= 0 || n > limit {
		r.bad = true
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) run() []byte {
	n := r.number(uint64(len(r.b)))
	if r.bad || n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

// take reads one byte.
func (r *reader) take() byte {
	if r.bad || len(r.b) == 0 {
		r.bad = true
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) seconds() int64 { return int64(r.number(math.MaxInt32 * 8)) }

// duration reads seconds; the limit is about 68 years, which keeps every sum of two far from overflow.
func (r *reader) duration() time.Duration {
	return time.Duration(r.number(math.MaxInt32)) * time.Second
}
