package session

import (
	"hash/maphash"
	"strings"
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"
)

// known remembers sessions whose cookie was opened before, so that a busy browser does not pay for decryption each time. It
// remembers what opening depends on alone; lifetimes and revocation are judged on every use.
//
// A cookie is remembered when it comes for the second time: a stream of cookies that come once would otherwise push the busy
// ones out and keep the garbage collector busy with sessions that nobody asks for again.
type known struct {
	sessions *lru.Cache[knownKey, *Session]
	seed     maphash.Seed
	seen     [seenOnce]atomic.Uint64 // hash → the last cookie with such a hash; a collision costs one more opening
}

// knownKey is the whole sealed cookie together with the version of the keys that opened it: only who holds the very cookie
// finds the session, and a change of keys forgets everything. A hash would take less memory, but one that is safe here costs a
// returning browser a twelfth of the whole answer.
type knownKey struct {
	sealed  string
	version uint64
}

// seenOnce is how many cookies are told apart before they are remembered; 8 bytes each.
const seenOnce = 4096

// newKnown remembers so many sessions; nil, which remembers nothing, for none.
func newKnown(sessions int) (*known, error) {
	if sessions <= 0 {
		return nil, nil
	}
	cache, err := lru.New[knownKey, *Session](sessions)
	if err != nil {
		return nil, err
	}
	return &known{sessions: cache, seed: maphash.MakeSeed()}, nil
}

func (k *known) get(key knownKey) (*Session, bool) {
	if k == nil {
		return nil, false
	}
	return k.sessions.Get(key)
}

// offer remembers a session that was opened, if its cookie was offered before.
func (k *known) offer(key knownKey, s *Session) {
	if k == nil {
		return
	}
	hash := maphash.String(k.seed, key.sealed)
	if k.seen[hash%seenOnce].Swap(hash) == hash {
		key.sealed = strings.Clone(key.sealed) // it is cut from the request's whole header
		k.sessions.Add(key, s)
	}
}
