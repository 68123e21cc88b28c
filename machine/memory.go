package machine

import (
	"crypto/aes"
	"crypto/cipher"
	crand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/VictoriaMetrics/fastcache"
)

// memory is what this process holds: tokens by canonical request, and by-names that lead there from a request as it came. It lies
// outside the garbage collector's heap, in rings of bounded size: what was written first is overwritten first. An entry is a clear
// head of times and a sealed token.
type memory struct {
	keys    *memoryKeys
	tokens  *fastcache.Cache
	bynames *fastcache.Cache
	minTTL  time.Duration
}

// An entry: when it is looked at again, its stamps, nonce and sealed text.
const (
	headSize  = 8 + stampSize
	nonceSize = 12
	// maxEntry is what a ring takes in one piece; an answer over it is not kept.
	maxEntry = 60 << 10
)

// failedBit stands in an entry's time of the next look when the last renewal failed; no time needs it.
const failedBit = 1 << 63

// leastMemory is what the rings take at least.
const leastMemory = 64 << 20

func newMemory(bytes int, minTTL time.Duration) *memory {
	bytes = max(bytes, leastMemory)
	return &memory{
		keys: newMemoryKeys(), minTTL: minTTL,
		// A by-name takes about a twelfth of what a token does.
		tokens: fastcache.New(bytes - bytes/8), bynames: fastcache.New(bytes / 8),
	}
}

// held is a token found in memory: where it lies, what opens it, and its times.
type held struct {
	find, open half
	next       time.Time // not to be renewed before
	failed     bool      // the last renewal
	token      token     // its stamps; packed is still sealed
	sealed     []byte
}

// margin is the life below which a token is served only if the provider fails.
func (m *memory) margin(t *token) time.Duration { return min(m.minTTL, t.life()/5) }

// due is when a token in use is renewed: when a fifth of its life is left, and well before the margin. The jitter only makes it
// earlier, so replicas that learned of a token at the same moment do not renew it at the same moment.
func (m *memory) due(t *token) time.Time {
	ahead := m.ahead(t)
	return t.expires.Add(-ahead - rand.N(ahead/4+1))
}

func (m *memory) ahead(t *token) time.Duration { return max(2*m.margin(t), t.life()/5) }

// fresh is how long a token is certainly not due.
func (m *memory) fresh(t *token) time.Time { return t.expires.Add(-m.ahead(t) * 5 / 4) }

// find reads the entry into buf. A token that is over is none.
func (m *memory) find(buf []byte, find, open half, now time.Time) (held, bool) {
	b, ok := m.tokens.HasGet(buf[:0], find[:])
	if !ok || len(b) < headSize+nonceSize {
		return held{}, false
	}
	next := binary.BigEndian.Uint64(b)
	h := held{
		find: find, open: open, next: time.UnixMilli(int64(next &^ failedBit)), failed: next&failedBit != 0, token: readStamps(b[8:]), sealed: b,
	}
	return h, h.token.left(now) >= time.Second
}

// reveal opens the entry; false: not with this request.
func (h *held) reveal(dst []byte) ([]byte, bool) {
	aead, err := memoryCipher(h.open)
	if err != nil {
		return nil, false
	}
	b := h.sealed
	plain, err := aead.Open(dst, b[headSize:headSize+nonceSize], b[headSize+nonceSize:], b[8:headSize])
	return plain, err == nil
}

// put keeps a token, unless it is too large. It is looked at again when it is due.
func (m *memory) put(find, open half, t *token) (kept bool) {
	aead, err := memoryCipher(open)
	if err != nil {
		return false
	}
	b := binary.BigEndian.AppendUint64(make([]byte, 0, headSize+nonceSize+len(t.packed)+aead.Overhead()), uint64(m.due(t).UnixMilli()))
	b = t.appendStamps(b)
	b = b[:headSize+nonceSize]
	_, _ = crand.Read(b[headSize:])
	b = aead.Seal(b, b[headSize:], t.packed, b[8:headSize])
	if len(b) > maxEntry {
		return false
	}
	m.tokens.Set(find[:], b)
	return true
}

// postpone puts the next look at an entry off; h.sealed is spent.
func (m *memory) postpone(h held, next time.Time) {
	at := uint64(next.UnixMilli())
	if h.failed {
		at |= failedBit
	}
	binary.BigEndian.PutUint64(h.sealed, at)
	m.tokens.Set(h.find[:], h.sealed)
}

func (m *memory) drop(find half) { m.tokens.Del(find[:]) }

// len is how many tokens are held; such as are over and not overwritten yet count.
func (m *memory) len() int {
	var s fastcache.Stats
	m.tokens.UpdateStats(&s)
	return int(s.EntriesCount)
}

func memoryCipher(key half) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// byname leads from a request as it came to its entry, without understanding it again.
type byname struct {
	find, open half
	client     int     // place of the named client; 0: none
	mark       [8]byte // of the named client's secret at that time
	scope      string  // what a named client was given
}

// maxBynameScope bounds what is remembered of a scope.
const maxBynameScope = 1024

// recall finds a by-name.
func (m *memory) recall(buf []byte, find, open half) (n byname, ok bool) {
	b, ok := m.bynames.HasGet(buf[:0], find[:])
	if !ok || len(b) < 34 {
		return byname{}, false
	}
	n.find, n.open = half(b[:16]), half(b[16:32]).xor(open)
	n.client = int(binary.BigEndian.Uint16(b[32:]))
	if n.client > 0 && len(b) >= 42 {
		n.mark, n.scope = [8]byte(b[34:42]), string(b[42:])
	}
	return n, true
}

// remember writes a by-name. What opens the entry is hidden under the other half of the request's hash: memory alone gives nothing.
func (m *memory) remember(find, open half, n byname) {
	if len(n.scope) > maxBynameScope {
		return
	}
	hidden := n.open.xor(open)
	b := append(make([]byte, 0, 64), n.find[:]...)
	b = append(b, hidden[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(n.client))
	if n.client > 0 {
		b = append(append(b, n.mark[:]...), n.scope...)
	}
	m.bynames.Set(find[:], b)
}
