package session_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"vestibule/kv"
	"vestibule/session"
)

// hooked is a store as if behind a network, which gives up with its caller. What it does can be followed by something, or refused.
type hooked struct {
	kv.Store
	mu       sync.Mutex
	afterPut func(key string)
	fault    error // of Delete
}

func (h *hooked) GetMany(ctx context.Context, keys ...string) ([]kv.Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return h.Store.GetMany(ctx, keys...)
}

func (h *hooked) Put(ctx context.Context, w kv.Write) (kv.Version, error) {
	v, err := h.Store.Put(ctx, w)
	if after, _ := h.get(); after != nil && err == nil {
		after(w.Key)
	}
	return v, err
}

func (h *hooked) Delete(ctx context.Context, key string, v kv.Version) error {
	if _, fault := h.get(); fault != nil {
		return fault
	}
	return h.Store.Delete(ctx, key, v)
}

func (h *hooked) set(afterPut func(key string), fault error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.afterPut, h.fault = afterPut, fault
}

func (h *hooked) get() (func(key string), error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.afterPut, h.fault
}

// One browser that hung up again and again kept everybody's session on that replica from being refreshed.
func TestWhoHangsUpStopsNobodysRefresh(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for name, gone := range map[string]func() (context.Context, context.CancelFunc){
			"hung up": func() (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				return ctx, cancel
			},
			"ran out of time": func() (context.Context, context.CancelFunc) {
				return context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
			},
		} {
			h := newHouse(t, serverMode, func(c *session.Config) { c.Store = &hooked{Store: c.Store} })
			_, theirs := h.signIn(t)
			_, mine := h.signIn(t)
			pass(2 * time.Hour)
			ctx, cancel := gone()
			_, err := h.Load(ctx, theirs.header())
			unavailable(t, err)
			cancel()
			generation(t, h.fresh(t, h.load(t, mine), session.Need{}), 1)
			count(t, "the store was said to be down when somebody "+name, h.seen("store_down"), 0)
		}
	})
}

func TestInCookieModeWhoHangsUpIsNoBlindness(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, func(c *session.Config) { c.Mode, c.Store = session.ModeCookie, &hooked{Store: c.Store} })
		_, b := h.signIn(t)
		_, _ = h.Load(canceled(t), b.header())
		count(t, "blind", h.seen("revocation_blind"), 0)
		h.store.SetDown(true)
		h.load(t, b)
		count(t, "blind when the store is down", h.seen("revocation_blind"), 1)
	})
}

// A renewal that the store did not take at first is being written, and the session ends in that moment: both wait under one name, and both
// until the session's end.
func TestARemovalIsNotForgottenWithTheRenewalBeforeIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := &hooked{}
		h := newHouse(t, serverMode, func(c *session.Config) { store.Store, c.Store = c.Store, store })
		s, b := h.signIn(t)
		entry := "session/" + s.ID.String()
		pass(2 * time.Hour)
		h.provider.after = func(int) error { h.store.SetDown(true); return nil }
		generation(t, h.fresh(t, h.load(t, b), session.Need{}), 1)
		h.provider.after = nil
		ending := make(chan struct{})
		store.set(func(key string) {
			if key != entry {
				return
			}
			store.set(nil, errors.New("READONLY"))
			h.End(t.Context(), h.load(t, b))
			close(ending)
		}, nil)
		h.store.SetDown(false)
		<-ending
		store.set(nil, nil)
		pass(5 * time.Second)
		if _, err := h.store.Get(t.Context(), entry); !errors.Is(err, kv.ErrNotFound) {
			t.Errorf("the session that has ended still lies in the store: %v", err)
		}
	})
}
