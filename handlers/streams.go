package handlers

import (
	"slices"
	"sync"
	"time"

	"vestibule/session"
)

const (
	maxStreams        = 10_000    // in one process, whatever its memory
	streamSize        = 32 * 1024 // bytes; measured: 31 kB with its connection, whose buffers and two goroutines are most of it
	streamsPerSession = 16        // a browser needs one
)

// StreamsWithin is how many event streams a process holds at most whose memory limit (GOMEMLIMIT) is so many bytes: half of it is for them,
// and never more than 10,000.
func StreamsWithin(memory int64) int {
	return int(min(memory/2/streamSize, maxStreams))
}

// stream is one event stream that is open.
type stream struct {
	id      session.ID
	ended   chan session.Reason // holds one: a session ends once
	renewed chan time.Time      // holds the newest
	over    chan struct{}       // closed when the stream has to end: others are newer, or the process stops
}

// watcher hands over what happens. It never waits: of renewals that nobody took in, the last is enough.
func (st *stream) watcher() session.Watcher {
	return session.Watcher{
		Ended: func(why session.Reason) { st.ended <- why },
		Renewed: func(expires time.Time) {
			select {
			case <-st.renewed:
			default:
			}
			select {
			case st.renewed <- expires:
			default: // another one was faster
			}
		},
	}
}

// streams is what is open at present.
type streams struct {
	most int // in all

	mu      sync.Mutex
	of      map[session.ID][]*stream // oldest first
	count   int
	leaving bool
}

func newStreams(most int) *streams { return &streams{most: most, of: map[session.ID][]*stream{}} }

// open adds a stream, in the place of the session's oldest if it has too many. It refuses where the process has too many.
func (ss *streams) open(id session.ID) (st *stream, ok bool) {
	st = &stream{id: id, ended: make(chan session.Reason, 1), renewed: make(chan time.Time, 1), over: make(chan struct{})}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if of := ss.of[id]; len(of) >= streamsPerSession {
		ss.drop(of[0])
	}
	if ss.count >= ss.most {
		return nil, false
	}
	if ss.leaving {
		close(st.over)
		return st, true
	}
	ss.of[id] = append(ss.of[id], st)
	ss.count++
	return st, true
}

// held counts.
func (ss *streams) held() int {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.count
}

// close takes a stream off the list that is over, unless it was dropped already.
func (ss *streams) close(st *stream) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if slices.Contains(ss.of[st.id], st) {
		ss.drop(st)
	}
}

// drop ends a stream that is on the list. ss.mu is held.
func (ss *streams) drop(st *stream) {
	close(st.over)
	ss.count--
	left := slices.DeleteFunc(ss.of[st.id], func(other *stream) bool { return other == st })
	if ss.of[st.id] = left; len(left) == 0 {
		delete(ss.of, st.id)
	}
}

// leave ends all streams, and those at once that are opened later.
func (ss *streams) leave() {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.leaving = true
	for _, of := range ss.of {
		for _, st := range slices.Clone(of) {
			ss.drop(st)
		}
	}
}
