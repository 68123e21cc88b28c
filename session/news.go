package session

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"vestibule/kv"
)

// news is what replicas tell each other: that a session has ended, that all sessions of a group have, that one was renewed. It only
// says sooner what the records in the store say too, so nothing is lost with a message but time.
type news struct {
	kind       newsKind
	id         ID        // ended, renewed; group: the session that stays
	generation uint32    // ended: the newest form that is over; renewed: the form that is new
	at         time.Time // group: sessions that began until then are over; renewed: when the access token ends
	group      group     // group
	reason     Reason    // ended, group
}

type newsKind byte

const (
	newsEnded   newsKind = 'E'
	newsGroup   newsKind = 'G'
	newsRenewed newsKind = 'R'
)

func endedNews(id ID, upTo uint32, why Reason) news {
	return news{kind: newsEnded, id: id, generation: upTo, reason: why}
}

func groupNews(g group, d deadline) news {
	return news{kind: newsGroup, group: g, at: d.until, id: d.except, reason: d.reason}
}

func renewedNews(s *Session) news {
	return news{kind: newsRenewed, id: s.ID, generation: s.Generation, at: s.Tokens.Expires}
}

// ends says whether the news is the end of what is watched.
func (n news) ends(w *watch) bool {
	switch n.kind {
	case newsEnded:
		return w.generation <= n.generation
	case newsGroup:
		return slices.Contains(w.groups, n.group) && deadline{until: n.at, except: n.id}.ends(w.session)
	}
	return false
}

// newsVersion comes first: replicas of two versions run side by side during an update, and pass over what they do not know.
const newsVersion = 1

func (n news) bytes() []byte {
	b := []byte{newsVersion, byte(n.kind)}
	switch n.kind {
	case newsEnded:
		b = binary.BigEndian.AppendUint32(append(b, n.id[:]...), n.generation)
		return append(b, n.reason...)
	case newsGroup:
		b = append(append(b, n.group.kind), n.group.hash[:]...)
		return append(append(appendTime(b, n.at), n.id[:]...), n.reason...)
	default:
		b = binary.BigEndian.AppendUint32(append(b, n.id[:]...), n.generation)
		return appendTime(b, n.at)
	}
}

func appendTime(b []byte, t time.Time) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(max(0, t.Unix())))
}

func timeAt(b []byte) time.Time { return time.Unix(int64(binary.BigEndian.Uint64(b)), 0) }

// readNews is the inverse of bytes; false for anything else.
func readNews(b []byte) (news, bool) {
	if len(b) < 2 || b[0] != newsVersion {
		return news{}, false
	}
	n, b := news{kind: newsKind(b[1])}, b[2:]
	switch {
	case n.kind == newsEnded && len(b) >= 20:
		n.id, n.generation, n.reason = ID(b[:16]), binary.BigEndian.Uint32(b[16:]), Reason(b[20:])
	case n.kind == newsGroup && len(b) >= 41:
		n.group = group{kind: b[0], hash: [16]byte(b[1:17])}
		n.at, n.id, n.reason = timeAt(b[17:]), ID(b[25:41]), Reason(b[41:])
	case n.kind == newsRenewed && len(b) == 28:
		n.id, n.generation, n.at = ID(b[:16]), binary.BigEndian.Uint32(b[16:]), timeAt(b[20:])
	default:
		return news{}, false
	}
	return n, n.at.IsZero() || n.at.Unix() >= 0 // no message of ours is from before 1970
}

// tell tells everybody: who watches in this process at once, the other replicas through the feed, which the caller does not wait for.
func (m *Manager) tell(ctx context.Context, n news) {
	m.watches.hear(n)
	if m.c.Feed == nil || (n.kind == newsRenewed && m.c.QuietRenewals) {
		return
	}
	m.running.add()
	go func() {
		defer m.running.done()
		var err error
		defer m.caught(ctx, "telling other replicas", &err)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTime)
		defer cancel()
		if err = m.publish(ctx, n); err == nil {
			return
		}
		m.c.Logger.DebugContext(ctx, "other replicas could not be told", "of", string(n.kind), "error", err)
		if n.kind != newsRenewed {
			m.insist(ctx, "news/"+string(n.bytes()), untaken{
				what: "word of an ending", until: m.c.Now().Add(newsWorth), write: func(ctx context.Context) error { return m.publish(ctx, n) },
			})
		}
	}()
}

// publish tells the other replicas, if there is a way to.
func (m *Manager) publish(ctx context.Context, n news) error {
	if m.c.Feed == nil {
		return nil
	}
	return m.c.Feed.Publish(ctx, n.bytes())
}

// newsWorth is how long word of an ending is worth telling: later than that, who watched has looked.
const newsWorth = time.Hour

// publishTime bounds one message to the other replicas.
const publishTime = 2 * time.Second

// Run hears what other replicas tell until ctx ends. Without Config.Feed it returns at once.
func (m *Manager) Run(ctx context.Context) {
	if m.c.Feed == nil {
		return
	}
	missed := make(chan struct{}, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-missed:
				m.lookAfter(ctx)
			}
		}
	}()
	listening := false
	m.c.Feed.Listen(ctx, kv.Listener{
		Hear: func(message []byte) {
			if n, ok := readNews(message); ok {
				m.watches.hear(n)
			}
		},
		Missed: func() {
			if listening {
				m.sawAbsence() // who tells us nothing may be the store itself
			}
			listening = true
			select {
			case missed <- struct{}{}:
			default: // a look is due already
			}
		},
	})
	<-done
}

// lookAfter looks whether what is watched still stands: messages may have been missed. A session that is watched since long is known here
// in an old form, so what is over with a form alone, by a refusal, is no news.
func (m *Manager) lookAfter(ctx context.Context) {
	var looks errgroup.Group
	looks.SetLimit(atOnce)
	for _, s := range m.watches.sessions() {
		if ctx.Err() != nil {
			break
		}
		looks.Go(func() error {
			var ended *Ended
			if errors.As(m.Alive(ctx, s), &ended) && ended.Reason != ReasonRefused {
				m.watches.hear(endedNews(s.ID, math.MaxUint32, ended.Reason))
			}
			return nil
		})
	}
	_ = looks.Wait() // nobody fails
}
