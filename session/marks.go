package session

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"time"

	"vestibule/kv"
)

// Three records can say that a session is over: its own, that of its subject, and that of the provider's session it came from. The
// last two name a moment, and end every session that began until then: nothing has to list those sessions, so none is forgotten,
// however many one person has, in cookies too.
//
//	ended/ID        generation (4 bytes), reason      forms up to that generation are over
//	ended-sub/hash  Unix seconds (8 bytes), ID, reason  sessions that began until then are over, but for that of the ID
//	ended-sid/hash  the same
//
// A moment only moves forward: an older one that arrives late, from a clock that is behind or from a write that is tried again, changes
// nothing.

// mark is the record of one session: why it is over, and up to which generation.
type mark struct {
	reason Reason
	upTo   uint32
}

func (k mark) bytes() []byte {
	return append(binary.BigEndian.AppendUint32(nil, k.upTo), k.reason...)
}

func readMark(b []byte) (mark, bool) {
	if len(b) < 4 {
		return mark{}, false
	}
	return mark{reason: Reason(b[4:]), upTo: binary.BigEndian.Uint32(b)}, true
}

// deadline is the record of a subject, or of a provider's session.
type deadline struct {
	reason Reason
	until  time.Time // sessions that began until then are over; whole seconds
	except ID        // this one is not; zero: all are
}

func (d deadline) bytes() []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(max(0, d.until.Unix())))
	return append(append(b, d.except[:]...), d.reason...)
}

func readDeadline(b []byte) (deadline, bool) {
	if len(b) < 8+len(ID{}) {
		return deadline{}, false
	}
	at := time.Unix(int64(binary.BigEndian.Uint64(b)), 0)
	return deadline{until: at, except: ID(b[8:24]), reason: Reason(b[24:])}, true
}

func (d deadline) ends(s *Session) bool { return s.ID != d.except && !s.Started.After(d.until) }

// markKeysOf are the keys of the records that can end the session, its own first. They are made once, because every request looks them
// up. What names a person is hashed: the store does not learn it.
func (m *Manager) markKeysOf(s *Session) []string {
	keys := append(make([]string, 0, 3), endedKey(s.ID))
	for _, g := range m.groupsOf(s.Tokens) {
		keys = append(keys, g.markKey())
	}
	return keys
}

// group is all sessions of a subject, or all that came from one session at the provider. It is named by a hash.
type group struct {
	kind byte // groupSubject or groupProvider
	hash [16]byte
}

const (
	groupSubject  byte = 's'
	groupProvider byte = 'p'
)

func (g group) markKey() string { return "ended-" + g.name() }

func (g group) indexKey() string { return "index-" + g.name() }

func (g group) name() string {
	kind := "sub/"
	if g.kind == groupProvider {
		kind = "sid/"
	}
	return kind + base64.RawURLEncoding.EncodeToString(g.hash[:])
}

func (m *Manager) subject(sub string) group { return m.group(groupSubject, sub) }

func (m *Manager) providerSession(sid string) group { return m.group(groupProvider, sid) }

// group contains issuer and client: applications that share a store do not end each other's sessions.
func (m *Manager) group(kind byte, name string) group {
	h := sha256.New()
	for _, part := range []string{"vestibule group v1", string(kind), m.c.Issuer, m.c.ClientID, name} {
		_, _ = io.WriteString(h, part+"\x00") // a hash takes everything
	}
	return group{kind: kind, hash: [16]byte(h.Sum(nil))}
}

// groupsOf are the groups that a session belongs to.
func (m *Manager) groupsOf(t Tokens) []group {
	var out []group
	if t.Subject != "" {
		out = append(out, m.subject(t.Subject))
	}
	if t.ProviderID != "" {
		out = append(out, m.providerSession(t.ProviderID))
	}
	return out
}

// revoked asks for the records: first here, where they are put when the store does not take them, then in the store. nil also where
// the store does not answer.
func (m *Manager) revoked(ctx context.Context, s *Session) error {
	if err := m.revokedHere(ctx, s); err != nil {
		return err
	}
	found, err := m.c.Store.GetMany(ctx, s.keys...)
	if err != nil {
		if ctx.Err() == nil { // a caller who gave up says nothing about the store
			m.unread.failed(ctx)
			m.c.Observe(Event{Kind: EventRevocationBlind})
		}
		m.c.Logger.DebugContext(ctx, "the cache does not answer: a session that was ended would pass", "error", err)
		return nil
	}
	m.unread.over()
	return judge(s, found)
}

func (m *Manager) revokedHere(ctx context.Context, s *Session) error {
	if m.local.Len() == 0 {
		return nil // as always but during an outage
	}
	found, err := m.local.GetMany(ctx, s.keys...)
	if err != nil {
		return nil // memory always answers
	}
	return judge(s, found)
}

// judge reads what stands under a session's mark keys.
func judge(s *Session, found []kv.Entry) error {
	for i, e := range found {
		if e.Version == kv.Absent {
			continue
		}
		if i == 0 {
			if k, ok := readMark(e.Value); ok && s.Generation <= k.upTo {
				return &Ended{Reason: k.reason, KeepCookies: k.reason == ReasonReplaced}
			}
		} else if d, ok := readDeadline(e.Value); ok && d.ends(s) {
			return &Ended{Reason: d.reason}
		}
	}
	return nil
}

// markEnded leaves the record that refuses the session for as long as it could still be brought, takes it out of the store in server
// mode, and tells everybody who watches it. The error means that the store did not take all of it yet: see insist.
func (m *Manager) markEnded(ctx context.Context, s *Session, why Reason) error {
	defer m.tell(ctx, endedNews(s.ID, math.MaxUint32, why))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.t.Call) // an ended session stays ended if the browser hangs up
	defer cancel()
	m.c.Observe(Event{Kind: EventEnded, Outcome: string(why)})
	err := m.leaveMark(ctx, s, mark{reason: why, upTo: math.MaxUint32})
	return errors.Join(err, m.discard(ctx, s))
}

// markRefused does so for the forms of the session whose refresh token was refused: a newer form may live, in another replica or
// in the browser, and is not touched.
func (m *Manager) markRefused(ctx context.Context, s *Session) {
	if m.spentUnseen(ctx, s) {
		return
	}
	defer m.tell(ctx, endedNews(s.ID, s.Generation, ReasonRefused))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.t.Call)
	defer cancel()
	m.c.Observe(Event{Kind: EventEnded, Outcome: string(ReasonRefused)})
	m.discardForm(ctx, s)
	_ = m.leaveMark(ctx, s, mark{reason: ReasonRefused, upTo: s.Generation}) // the failed record refuses for now
}

// spentUnseen says that a refused token may have been good: that of a form in which a session was adopted may have been spent long ago
// for a server component, which hands no cookie on, and what it was spent for stands in the store alone, which does not answer.
func (m *Manager) spentUnseen(ctx context.Context, s *Session) bool {
	if m.c.Mode == ModeServer || !m.asAdopted(s) {
		return false
	}
	_, err := m.c.Store.Get(ctx, recordKey(s))
	return err != nil && !errors.Is(err, kv.ErrNotFound)
}

// leaveMark leaves a session's own record. The error means that the store did not take it: then it is kept here, so that at least this
// process refuses, and tried again.
func (m *Manager) leaveMark(ctx context.Context, s *Session, k mark) error {
	left := m.couldLast(s).Sub(m.c.Now())
	if left <= 0 {
		return nil
	}
	w := kv.Write{Key: endedKey(s.ID), Value: k.bytes(), TTL: min(left+time.Minute, kv.MaxTTL)}
	return m.leaveRecord(ctx, w, endedNews(s.ID, k.upTo, k.reason), func(stands []byte) []byte {
		if other, ok := readMark(stands); ok && other.upTo >= k.upTo {
			return nil
		}
		return w.Value
	})
}

// leaveDeadline ends all sessions of the group that began until then. The record stands for as long as one of them could last.
func (m *Manager) leaveDeadline(ctx context.Context, g group, d deadline) error {
	w := kv.Write{Key: g.markKey(), Value: d.bytes(), TTL: min(m.longestOf(g)+2*clockSkew, kv.MaxTTL)}
	return m.leaveRecord(ctx, w, groupNews(g, d), func(stands []byte) []byte {
		other, ok := readDeadline(stands)
		switch {
		case !ok || other.until.Before(d.until):
			return w.Value
		case other.except != (ID{}) && other.except != d.except: // the later moment spares a session that this one ends
			return deadline{reason: d.reason, until: other.until}.bytes()
		}
		return nil
	})
}

// leaveRecord writes what over makes of the record that stands; nil: that says as much already. Where the store takes it only later, the
// other replicas, which could not be told either, are told then.
func (m *Manager) leaveRecord(ctx context.Context, w kv.Write, n news, over func(stands []byte) []byte) error {
	err := raise(ctx, m.c.Store, w, over)
	if err == nil {
		return nil
	}
	m.c.Observe(Event{Kind: EventRevocationBlind})
	m.c.Logger.WarnContext(ctx, "the cache did not take the end of a session: until it does, other replicas accept the session", "error", err)
	if err := raise(ctx, m.local, w, over); err != nil {
		m.c.Logger.ErrorContext(ctx, "the end of a session could not be recorded", "error", err)
	}
	m.insist(ctx, w.Key, untaken{
		what: "the end of a session", until: m.c.Now().Add(w.TTL),
		write: func(ctx context.Context) error {
			if err := raise(ctx, m.c.Store, w, over); err != nil {
				return err
			}
			return m.publish(ctx, n)
		},
	})
	return err
}

// raiseTries bounds how often a record may change under the hands of who raises it.
const raiseTries = 8

// raise never takes the place of a stronger record, also not of one that is made at the same moment.
func raise(ctx context.Context, store kv.Store, w kv.Write, over func(stands []byte) []byte) error {
	var err error
	for range raiseTries {
		e, fault := store.Get(ctx, w.Key)
		if fault != nil && !errors.Is(fault, kv.ErrNotFound) {
			return fault
		}
		if w.Value = over(e.Value); w.Value == nil {
			return nil
		}
		w.If = e.Version
		if _, err = store.Put(ctx, w); !errors.Is(err, kv.ErrConflict) {
			return err
		}
	}
	return err
}

func endedKey(id ID) string { return "ended/" + id.String() }
