package session

import "time"

// The absolute lifetime. It is sealed into the session at its sign-in, because what refuses an ended session is kept for as long as that
// session could be brought: were its end counted from the configuration of the day, raising MaxAge would bring back sessions whose records
// have run out, and lengthen all others. Lowering MaxAge shortens sessions at once.

// defaultMaxAge is the default of Config.MaxAge.
const defaultMaxAge = 720 * time.Hour

// Limit is the end of the session's absolute lifetime.
func (m *Manager) Limit(s *Session) time.Time {
	if s.life > 0 {
		return s.Started.Add(min(s.life, m.c.MaxAge))
	}
	return s.Started.Add(m.c.MaxAge)
}

// couldLast is how long somebody may bring the session, whatever MaxAge becomes: it may be low today, and as high as before tomorrow.
func (m *Manager) couldLast(s *Session) time.Time {
	if s.life > 0 {
		return s.Started.Add(s.life)
	}
	return s.Started.Add(m.longestLife())
}

// longestLife is how long a session of which only its start is known may last. MaxAge may have been higher when it began, and nobody notes
// that; the default covers all who never went beyond it.
func (m *Manager) longestLife() time.Duration { return max(m.c.MaxAge, defaultMaxAge) }

// longestOf is how long the sessions of a group may last after their end. There is one such end for each sign-in where the provider tells
// of all of them, so those are not remembered for a MaxAge that may have been higher, but for the one of today.
func (m *Manager) longestOf(g group) time.Duration {
	if g.kind == groupProvider {
		return m.c.MaxAge
	}
	return m.longestLife()
}

// wholeSeconds rounds up: a session is packed in seconds, and 0 would mean that its life is not known.
func wholeSeconds(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}
