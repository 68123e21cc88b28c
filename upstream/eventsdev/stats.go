package eventsdev

import (
	"maps"
	"sync"
)

// Stats counts what arrived and what came of it.
type Stats struct {
	// Connections is sockets open now, Connected all that ever were.
	Connections int `json:"connections"`
	Connected   int `json:"connected"`
	// Subscriptions is those that stand now, Subscribed all that ever did.
	Subscriptions int `json:"subscriptions"`
	Subscribed    int `json:"subscribed"`
	// Published is events accepted, over sockets and HTTP, Delivered data frames handed to subscribers' sockets.
	Published int `json:"published"`
	Delivered int `json:"delivered"`
	// Expired is sockets closed at the end of their life, Slow those cut because their peer did not read.
	Expired int `json:"expired"`
	Slow    int `json:"slow"`
	// Refusals counts what was refused, by reason.
	Refusals map[Reason]int `json:"refusals"`
}

// counters guards a Stats.
type counters struct {
	mu sync.Mutex
	t  Stats
}

func newCounters() *counters { return &counters{t: Stats{Refusals: map[Reason]int{}}} }

func (c *counters) add(change func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.t)
}

// refused counts by reason. Reasons are a fixed set, so the map stays small.
func (c *counters) refused(why *refusal) {
	c.add(func(t *Stats) { t.Refusals[why.reason]++ })
}

// Stats is a copy of the counters at this moment.
func (s *Server) Stats() Stats {
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	copied := s.stats.t
	copied.Refusals = maps.Clone(copied.Refusals)
	return copied
}
