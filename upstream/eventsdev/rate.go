package eventsdev

import "time"

// publishRate is AppSync's quota of publishes on one connection, a second.
const publishRate = 25

// bucket allows a second's worth at once and refills evenly. Not safe for concurrent use.
type bucket struct {
	now   func() time.Time
	spent float64
	at    time.Time
}

func (b *bucket) take() bool {
	now := b.now()
	b.spent = max(0, b.spent-publishRate*max(0, now.Sub(b.at).Seconds()))
	b.at = now
	if b.spent > publishRate-1 {
		return false
	}
	b.spent++
	return true
}
