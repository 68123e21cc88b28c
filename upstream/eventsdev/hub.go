package eventsdev

import (
	"strings"
	"sync"
)

// subscription is one operation of one connection.
type subscription struct {
	id string
	at channel
	to *connection
}

// subscriptions is a set.
type subscriptions map[*subscription]struct{}

// hub knows who listens where. Events of one channel reach every subscriber in the order of their publishes.
type hub struct {
	stats *counters
	mu    sync.Mutex
	exact map[string]subscriptions // path → who listens there
	under map[string]subscriptions // path → who listens to everything below
}

func newHub(stats *counters) *hub {
	return &hub{stats: stats, exact: map[string]subscriptions{}, under: map[string]subscriptions{}}
}

func (h *hub) side(c channel) map[string]subscriptions {
	if c.under {
		return h.under
	}
	return h.exact
}

// join confirms the subscription in the same breath: no event may overtake the confirmation, and none that is published
// after it may be missed.
func (h *hub) join(s *subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	side := h.side(s.at)
	if side[s.at.path] == nil {
		side[s.at.path] = subscriptions{}
	}
	side[s.at.path][s] = struct{}{}
	h.stats.add(func(t *Stats) { t.Subscriptions++; t.Subscribed++ })
	s.to.send(reply{Type: "subscribe_success", ID: s.id})
}

func (h *hub) leave(all map[string]*subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range all {
		side := h.side(s.at)
		delete(side[s.at.path], s)
		if len(side[s.at.path]) == 0 {
			delete(side, s.at.path)
		}
	}
	h.stats.add(func(t *Stats) { t.Subscriptions -= len(all) })
}

// publish hands each event, as JSON, to everybody who listens. Nothing in here waits for a peer.
func (h *hub) publish(path string, events [][]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delivered := 0
	for _, event := range events {
		delivered += deliver(h.exact[path], event)
		for i := strings.LastIndexByte(path, '/'); i > 0; i = strings.LastIndexByte(path[:i], '/') {
			delivered += deliver(h.under[path[:i]], event)
		}
	}
	h.stats.add(func(t *Stats) { t.Published += len(events); t.Delivered += delivered })
}

func deliver(to subscriptions, event []byte) int {
	delivered := 0
	for s := range to {
		if s.to.sendEncoded(dataFrame(s.id, event)) {
			delivered++
		}
	}
	return delivered
}
