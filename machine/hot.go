package machine

import (
	"encoding/binary"
	"sync/atomic"
	"time"
)

// maxHot is how many tokens are kept opened.
const maxHot = 512

// hot keeps the tokens that are asked for most opened, as the session package does with cookies: opening one costs as much as all the
// rest of an answer. Only a token that is far from its renewal is in it; one that is replaced before that takes all of them with it.
type hot struct {
	slots [maxHot]atomic.Pointer[opened]
	round atomic.Uint64 // what was opened in an earlier one is not served
}

// opened is one token, found by the whole request that it answers.
type opened struct {
	find  half
	until time.Time // afterwards memory is asked
	round uint64    // read before memory was, so that what was replaced meanwhile is not served for long
	token token
	name  byname
}

// slot is where a request's token is, if it is anywhere: a hash that only this process knows, so nobody can choose whom he drives out.
func (h *hot) slot(find half) *atomic.Pointer[opened] {
	return &h.slots[binary.LittleEndian.Uint32(find[:])%maxHot]
}

func (h *hot) get(find half, now time.Time) *opened {
	if o := h.slot(find).Load(); o != nil && o.find == find && o.round == h.round.Load() && now.Before(o.until) {
		return o
	}
	return nil
}

func (h *hot) put(o *opened) { h.slot(o.find).Store(o) }

// forget is called when memory has the new token, or none, in the place of one that may be in here.
func (h *hot) forget() { h.round.Add(1) }
