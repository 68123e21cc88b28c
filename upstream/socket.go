package upstream

import (
	"encoding/binary"
	"errors"
	"io"
	"sync"
)

// goodbye is a close frame: final, opcode 8, length, code and reason (RFC 6455, sections 5.5.1 and 7.4.1).
type goodbye string

const (
	restarting  goodbye = "\x88\x0c\x03\xe9restarting"   // 1001, going away
	sessionOver goodbye = "\x88\x0e\x03\xf0session over" // 1008, policy
)

// socket is the application's side of a WebSocket. It follows the frames that the application sends, so that it can say good-bye
// between two of them.
type socket struct {
	app     io.ReadWriteCloser
	browser *writer

	mu      sync.Mutex
	frames  frames
	leaving bool
	bye     goodbye
	said    int // bytes of the good-bye that were given
}

// Read gives what the browser is to get.
func (s *socket) Read(p []byte) (int, error) {
	if n, err, is := s.parting(p); is {
		return n, err
	}
	n, err := s.app.Read(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.leaving {
		for rest := p[:n]; len(rest) > 0; {
			rest = rest[s.frames.next(rest):]
		}
		return n, err
	}
	if s.frames.between() { // the next frame has begun: nobody has seen any of it
		return s.farewell(p)
	}
	n = s.frames.next(p[:n])
	if s.frames.between() {
		err = nil // the good-bye comes first
	}
	return n, err
}

// parting is what Read gives in place of the application once it is time to leave.
func (s *socket) parting(p []byte) (int, error, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.leaving || !s.frames.between() {
		return 0, nil, false
	}
	n, err := s.farewell(p)
	return n, err, true
}

func (s *socket) farewell(p []byte) (int, error) {
	if s.frames.closed || s.said == len(s.bye) { // nothing may follow a close frame
		return 0, io.EOF
	}
	n := copy(p, s.bye[s.said:])
	s.said += n
	return n, nil
}

// Write gets what the browser sends. Once it is told to leave, that may find nobody; an error would end the connection
// before the browser has read our good-bye.
func (s *socket) Write(p []byte) (int, error) {
	n, err := s.app.Write(p)
	if err != nil && s.isLeaving() {
		return len(p), nil
	}
	return n, err
}

func (s *socket) isLeaving() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leaving
}

// CloseWrite passes on that the browser will send no more.
func (s *socket) CloseWrite() error {
	if half, ok := s.app.(interface{ CloseWrite() error }); ok && !s.isLeaving() {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Close implements io.Closer.
func (s *socket) Close() error { return s.app.Close() }

func (s *socket) leave(bye goodbye) {
	s.mu.Lock()
	if !s.leaving {
		s.leaving, s.bye = true, bye
	}
	idle, lost := s.frames.between(), s.frames.lost
	s.mu.Unlock()
	switch {
	case lost:
		s.cut()
	case idle:
		_ = s.app.Close() // wakes Read, which waits for a frame; why it fails is known
	}
}

func (s *socket) cut() {
	_ = s.app.Close() // it is given up
	s.browser.cut()
}

func (s *socket) end() { _ = s.app.Close() } // it may be closed already

// frames follows frame headers (RFC 6455, section 5.2).
type frames struct {
	header [14]byte
	have   int    // bytes of the header; 0: between two frames
	left   uint64 // bytes of the payload that are still to come
	closed bool   // a close frame has gone by
	lost   bool   // this is no WebSocket: where a frame ends cannot be told
}

func (f *frames) between() bool { return f.have == 0 && !f.lost }

// next takes in bytes up to the end of a frame, all of p at most, and says how many.
func (f *frames) next(p []byte) int {
	n := 0
	for f.left == 0 && n < len(p) && !f.lost {
		f.header[f.have] = p[n]
		f.have++
		n++
		if f.have < f.size() {
			continue
		}
		if f.left = f.payload(); f.left == 0 {
			f.finish()
			return n
		}
	}
	if f.lost {
		return len(p)
	}
	take := min(uint64(len(p)-n), f.left)
	if f.left -= take; take > 0 && f.left == 0 {
		f.finish()
	}
	return n + int(take)
}

func (f *frames) finish() {
	f.closed = f.closed || f.header[0]&0x0f == 8
	f.have = 0
}

// size is how long the header is, as far as can be told.
func (f *frames) size() int {
	if f.have < 2 {
		return 2
	}
	size := 2 + int(f.header[1]>>7)*4 // the mask, which servers do not set
	switch f.header[1] & 0x7f {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	return size
}

func (f *frames) payload() uint64 {
	switch short := f.header[1] & 0x7f; short {
	case 126:
		return uint64(binary.BigEndian.Uint16(f.header[2:]))
	case 127:
		n := binary.BigEndian.Uint64(f.header[2:])
		f.lost = n>>63 != 0
		return n
	default:
		return uint64(short)
	}
}
