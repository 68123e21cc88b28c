package session

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"vestibule/kv"
)

// In server mode each group has a list of its sessions: so that they can be shown, and taken out of the store when the group ends. Whether
// a session has ended is never asked of a list. It is sealed under the server's keys, for it says which devices somebody uses, and when. It
// is written under a condition, so of two who add at once none is forgotten.

// maxMembers bounds a list. Whoever has more sessions than that loses the oldest: it ends.
const maxMembers = 1000

// crowded is the length from which sessions that are gone are looked for before one is added.
const crowded = 50

// maxDevice bounds a device label, in bytes.
const maxDevice = 64

// listName is what a group's list is sealed as: no cookie has such a name, and no other group.
func listName(g group) string { return "list of sessions " + g.name() }

// member is one session in a list.
type member struct {
	id      ID
	started time.Time
	device  string
}

func packMembers(all []member) []byte {
	b := []byte{storedVersion}
	for _, one := range all {
		b = append(b, one.id[:]...)
		b = binary.AppendUvarint(b, uint64(max(0, one.started.Unix())))
		b = appendRun(b, one.device)
	}
	return b
}

func unpackMembers(b []byte) ([]member, bool) {
	if len(b) == 0 || b[0] != storedVersion {
		return nil, false
	}
	r := reader{b: b[1:]}
	var all []member
	for len(r.b) > 0 && !r.bad {
		one := member{}
		if len(r.b) < len(one.id) {
			return nil, false
		}
		one.id, r.b = ID(r.b[:len(one.id)]), r.b[len(one.id):]
		one.started = time.Unix(r.seconds(), 0)
		one.device = string(r.run())
		all = append(all, one)
	}
	return all, !r.bad
}

// list is a group's sessions as the store has them, oldest first, with the version to write over.
func (m *Manager) list(ctx context.Context, g group) ([]member, kv.Version, error) {
	e, err := m.c.Store.Get(ctx, g.indexKey())
	if errors.Is(err, kv.ErrNotFound) {
		return nil, kv.Absent, nil
	}
	if err != nil {
		return nil, kv.Absent, err
	}
	version := m.sealer.version()
	plain, ok := m.sealer.open(listName(g), string(e.Value))
	if !ok && m.sealer.changed(ctx, version) { // another replica may have a newer key
		plain, ok = m.sealer.open(listName(g), string(e.Value))
	}
	if !ok {
		// The keys that sealed it are gone, and with them the tickets of its sessions.
		return nil, e.Version, nil
	}
	all, ok := unpackMembers(plain)
	if !ok {
		return nil, e.Version, nil // another format: as if the keys were gone
	}
	now := m.c.Now()
	all = slices.DeleteFunc(all, func(one member) bool { return !now.Before(one.started.Add(m.longestLife())) })
	return all, e.Version, nil
}

// Of many who sign in as the same person at once, each waits for those before.
const (
	enlistTries = 40
	enlistPause = 20 * time.Millisecond
)

// enlist adds a session to a group's list. The error means that it is not there.
func (m *Manager) enlist(ctx context.Context, g group, one member) error {
	one.device = clipText(one.device, maxDevice)
	for try := range enlistTries {
		all, version, err := m.list(ctx, g)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(all, func(other member) bool { return other.id == one.id }) {
			return nil
		}
		if len(all) >= crowded {
			if all, err = m.present(ctx, all); err != nil {
				return err
			}
		}
		for ; len(all) >= maxMembers; all = all[1:] {
			_ = m.endListed(ctx, all[0], ReasonElsewhere) // it is tried again, and the new one matters more
		}
		sealed, err := m.sealer.seal(listName(g), packMembers(append(all, one)))
		if err != nil {
			return err
		}
		_, err = m.c.Store.Put(ctx, kv.Write{Key: g.indexKey(), Value: []byte(sealed), TTL: min(m.longestLife()+time.Minute, kv.MaxTTL), If: version})
		if !errors.Is(err, kv.ErrConflict) {
			return err
		}
		timer := time.NewTimer(rand.N(enlistPause * time.Duration(min(try+1, 10))))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
	return fmt.Errorf("session: a list of sessions is written by too many at once: %w", kv.ErrConflict)
}

// present keeps the members that stand in the store.
func (m *Manager) present(ctx context.Context, all []member) ([]member, error) {
	out := make([]member, 0, len(all))
	for chunk := range slices.Chunk(all, kv.MaxKeys) {
		entries, err := m.storedOf(ctx, chunk)
		if err != nil {
			return nil, err
		}
		for i, e := range entries {
			seen, _ := storedSeen(e.Value)
			_, idle := m.seemsIdle(chunk[i].id, seen)
			// One that has just been enlisted may not stand there yet.
			if e.Version != kv.Absent && !idle || m.c.Now().Sub(chunk[i].started) < time.Minute {
				out = append(out, chunk[i])
			}
		}
	}
	return out, nil
}

func (m *Manager) storedOf(ctx context.Context, some []member) ([]kv.Entry, error) {
	keys := make([]string, 0, len(some))
	for _, one := range some {
		keys = append(keys, storedKey(one.id))
	}
	return m.c.Store.GetMany(ctx, keys...)
}

// discardGroup takes the sessions of a group that are over by the deadline out of the store, in server mode and in the background: they are
// refused already, and those that stay run out by themselves.
func (m *Manager) discardGroup(ctx context.Context, g group, d deadline) {
	if m.c.Mode == ModeCookie {
		return
	}
	m.running.add()
	go func() {
		defer m.running.done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.t.Flight)
		defer cancel()
		var err error
		defer m.caught(ctx, "removing sessions that have ended", &err)
		all, _, err := m.list(ctx, g)
		var work errgroup.Group
		work.SetLimit(atOnce)
		for _, one := range all {
			if d.ends(&Session{ID: one.id, Started: one.started}) {
				work.Go(func() error { return m.c.Store.Delete(ctx, storedKey(one.id), kv.Any) })
			}
		}
		if err = errors.Join(err, work.Wait()); err != nil {
			m.c.Logger.DebugContext(ctx, "sessions that have ended stay in the cache until they run out", "error", err)
		}
	}()
}

// atOnce is how many sessions are looked at, or ended, at a time.
const atOnce = 16

// clipText cuts a text to so many bytes, between two characters.
func clipText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && s[limit]&0xC0 == 0x80 {
		limit--
	}
	return s[:limit]
}
