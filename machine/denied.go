package machine

import "errors"

// Denied is the refusal of a named client, for the audit; errors.Is finds its Kind.
type Denied struct {
	Kind   error  // ErrClient, ErrGrant, ErrScope or ErrParameter
	Client string // whose name was used; with ErrClient by whoever it was
}

// Error implements error.
func (d *Denied) Error() string { return d.Kind.Error() }

// Unwrap gives the kind.
func (d *Denied) Unwrap() error { return d.Kind }

// Refused counts a request that was answered with our own words in the place of a token or the provider's, and says what it counts as.
// Whoever answers calls it, because some requests are refused before they get to Token.
func (c *Cache) Refused(err error) How {
	how := HowUnavailable
	var denied *Denied
	switch {
	case errors.As(err, &denied):
		how = HowDenied
	case errors.Is(err, ErrBusy):
		how = HowBusy
	case !errors.Is(err, ErrUnavailable):
		how = HowInvalid
	}
	c.c.Observe(Event{Kind: EventAnswer, Outcome: string(how)})
	return how
}
