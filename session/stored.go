package session

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"vestibule/kv"
)

// A session in the store, in server mode. It is written under a condition always: made where nothing stood, replaced where the form
// stood that was read. So a renewal that was under way while the session ended finds nothing to replace, and brings nothing back.
//
//	1 B  version
//	8 B  when the browser was last active, in Unix seconds: the list of one's sessions reads it without the key
//	     the packed session, sealed under a key from the ticket (AES-256-GCM), with the ID and what stands before as additional data
const (
	storedVersion = 1
	storedHeader  = 9
)

func storedKey(id ID) string { return "session/" + id.String() }

func storedSeen(value []byte) (time.Time, bool) {
	if len(value) < storedHeader || value[0] != storedVersion {
		return time.Time{}, false
	}
	return time.Unix(int64(binary.BigEndian.Uint64(value[1:])), 0), true
}

func (m *Manager) sealStored(s *Session) ([]byte, error) {
	packed, err := m.codec.pack(s)
	if err != nil {
		return nil, err
	}
	aead, err := s.ticket.cipher()
	if err != nil {
		return nil, err
	}
	header := binary.BigEndian.AppendUint64([]byte{storedVersion}, uint64(max(0, s.Seen.Unix())))
	sealed := aead.Seal(header, nil, packed, storedContext(s.ID, header))
	if len(sealed) > kv.MaxValue {
		return nil, fmt.Errorf("%w: %d bytes, and the store takes %d", ErrTooLarge, len(sealed), kv.MaxValue)
	}
	return sealed, nil
}

func storedContext(id ID, header []byte) []byte {
	return append(append(make([]byte, 0, len(id)+storedHeader), id[:]...), header[:storedHeader]...)
}

func (m *Manager) openStored(t ticket, e kv.Entry) (*Session, error) {
	if _, ok := storedSeen(e.Value); !ok {
		return nil, errFormat
	}
	aead, err := t.cipher()
	if err != nil {
		return nil, err
	}
	header, sealed := e.Value[:storedHeader], e.Value[storedHeader:]
	packed, err := aead.Open(nil, nil, sealed, storedContext(t.id(), header))
	if err != nil {
		return nil, fmt.Errorf("open a stored session: %w", err)
	}
	s, err := m.codec.unpack(packed)
	if err != nil {
		return nil, err
	}
	if s.ID != t.id() {
		return nil, errors.New("session: the entry of another session")
	}
	s.keys, s.ticket, s.version = m.markKeysOf(s), t, e.Version
	return s, nil
}

// redeem gives the session that the ticket stands for. *Ended: there is none any more, or its records say that it is over. *Unavailable: the
// store does not answer; nothing is made of what it did not say. A session that was looked for before costs one call.
func (m *Manager) redeem(ctx context.Context, t ticket) (*Session, error) {
	id := t.id()
	keys, known := m.marked.Get(id)
	if !known {
		keys = []string{endedKey(id)}
	}
	found, err := m.c.Store.GetMany(ctx, append([]string{storedKey(id)}, keys...)...)
	if err != nil {
		return nil, m.storeDown(ctx, err)
	}
	e, marks := found[0], found[1:]
	if e.Version == kv.Absent {
		return nil, gone(id, marks)
	}
	s, err := m.openStored(t, e)
	if err != nil {
		m.c.Logger.WarnContext(ctx, "what the cache holds of a session cannot be read", "error", err)
		return nil, ErrUnreadable
	}
	if !slices.Equal(keys, s.keys) {
		m.marked.Add(id, s.keys)
		if marks, err = m.c.Store.GetMany(ctx, s.keys...); err != nil {
			return nil, m.storeDown(ctx, err)
		}
	}
	if err := judge(s, marks); err != nil {
		return nil, err
	}
	return s, nil
}

// gone is why the store knows of no such session, as far as its marks tell.
func gone(id ID, marks []kv.Entry) error {
	if k, ok := readMark(marks[0].Value); ok {
		return &Ended{Reason: k.reason, KeepCookies: k.reason == ReasonReplaced}
	}
	for _, e := range marks[1:] {
		if d, ok := readDeadline(e.Value); ok && d.except != id {
			return &Ended{Reason: d.reason}
		}
	}
	return &Ended{Reason: ReasonGone}
}

// create puts a new session into the store, and into the lists of its groups first: a session that is in the store is in its lists.
func (m *Manager) create(ctx context.Context, s *Session, device string) error {
	for _, g := range m.groupsOf(s.Tokens) {
		if err := m.enlist(ctx, g, member{id: s.ID, started: s.Started, device: device}); err != nil {
			return m.storeDown(ctx, err)
		}
	}
	err := m.put(ctx, s, kv.Absent)
	if err != nil && !errors.Is(err, kv.ErrConflict) && !errors.Is(err, ErrTooLarge) {
		return m.storeDown(ctx, err)
	}
	return err
}

// replace puts newer where old stands; kv.ErrConflict where something else, or nothing, stands by now.
func (m *Manager) replace(ctx context.Context, old, newer *Session) error {
	newer.ticket = old.ticket
	return m.put(ctx, newer, old.version)
}

func (m *Manager) put(ctx context.Context, s *Session, over kv.Version) error {
	sealed, err := m.sealStored(s)
	if err != nil {
		return err
	}
	left := m.keptUntil(s).Sub(m.c.Now())
	if left <= 0 {
		return &Ended{Reason: ReasonExpired}
	}
	// A minute more: who comes at the very end is told why it is over.
	v, err := m.c.Store.Put(ctx, kv.Write{Key: storedKey(s.ID), Value: sealed, TTL: min(left+time.Minute, kv.MaxTTL), If: over})
	switch {
	case err == nil:
		s.version = v
		m.unnoted.over()
	case !errors.Is(err, kv.ErrConflict):
		m.notWritten(ctx, err)
	}
	return err
}

// keptUntil is how long the store keeps the session: an outage may last beyond its idle end, and it may have been in use.
func (m *Manager) keptUntil(s *Session) time.Time {
	end := m.Expires(s)
	if idle := s.Seen.Add(m.c.IdleTimeout); m.c.IdleTimeout > 0 && !end.Before(idle) {
		forever := *s
		forever.Seen = idle.Add(spareTime)
		end = m.Expires(&forever)
	}
	return end
}

// commit puts the newer form of a session into the store, in server mode, and gives the form that stands there then: somebody else's
// if that is as new. *Ended: the session was ended meanwhile, and stays so. A store that does not answer is left to try again: newer
// is good, and its refresh token is the only one that is.
func (m *Manager) commit(ctx context.Context, old, newer *Session) (*Session, error) {
	if m.c.Mode == ModeCookie {
		return newer, nil
	}
	stands, err := m.commitOnce(ctx, old, newer)
	if err == nil || errors.Is(err, ErrEnded) {
		return stands, err
	}
	m.insist(ctx, storedKey(newer.ID), untaken{
		what: "a renewed session", until: m.keptUntil(newer),
		write: func(ctx context.Context) error {
			_, err := m.commitOnce(ctx, old, newer)
			if errors.Is(err, ErrEnded) {
				m.revokeNewest(ctx, newer)
				return nil
			}
			return err
		},
	})
	return newer, nil
}

// commitTries bounds how often a commit may lose against others who write the same session: each of them made progress.
const commitTries = 8

// commitOnce never writes without having seen what stands: over a session of which nothing is known it would bring back one that ended.
func (m *Manager) commitOnce(ctx context.Context, old, newer *Session) (*Session, error) {
	mine := *newer // newer may be read by others meanwhile
	over := *old
	for range commitTries {
		err := error(kv.ErrConflict)
		if over.version != kv.Absent {
			err = m.replace(ctx, &over, &mine)
		}
		switch {
		case err == nil:
			return &mine, nil
		case !errors.Is(err, kv.ErrConflict):
			return nil, err
		}
		stands, err := m.redeem(ctx, old.ticket)
		if err != nil {
			return nil, err
		}
		if stands.Generation >= mine.Generation {
			return stands, nil
		}
		over = *stands
		if stands.Seen.After(mine.Seen) {
			mine.Seen = stands.Seen
		}
	}
	return nil, &Unavailable{Cause: errors.New("a session is written by too many at once")}
}

// discard takes a session out of the store, in server mode, and goes on trying where that cannot be done at once.
func (m *Manager) discard(ctx context.Context, s *Session) error {
	if m.c.Mode == ModeCookie {
		return nil
	}
	remove := func(ctx context.Context) error { return m.c.Store.Delete(ctx, storedKey(s.ID), kv.Any) }
	err := remove(ctx)
	if err != nil {
		m.c.Logger.WarnContext(ctx, "a session that has ended could not be taken out of the cache yet", "error", err)
		m.insist(ctx, storedKey(s.ID), untaken{what: "the removal of a session that has ended", until: m.couldLast(s), write: remove})
	}
	return err
}

// discardForm takes this form of the session out of the store; a newer one stays.
func (m *Manager) discardForm(ctx context.Context, s *Session) {
	if m.c.Mode == ModeCookie {
		return
	}
	stands, err := m.redeem(ctx, s.ticket)
	if err != nil || stands.Generation > s.Generation {
		return
	}
	_ = m.c.Store.Delete(ctx, storedKey(s.ID), stands.version) // refused: somebody has renewed it after all
}
