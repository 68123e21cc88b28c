package upstream

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
)

// maxVia bounds what others have said of the way here, in bytes: some thirty hops.
const maxVia = 1 << 10

// newName is a pseudonym (RFC 9110, section 7.6.3) that no other process has: replicas, or one Vestibule behind another, are no circle.
func newName() string { return "vestibule-" + strings.ToLower(rand.Text()) }

// via is the Via header of a request that goes on: a gateway must send it (RFC 9110, section 7.6.3).
func (a *App) via(in *http.Request, before []string) []string {
	own := strings.TrimPrefix(in.Proto, "HTTP/") + " " + a.name
	if way := strings.Join(before, ", "); way != "" && len(way) <= maxVia {
		own = way + ", " + own
	}
	return []string{own}
}

// isBack says whether a request has been here before. Without an end each round would hold two connections more.
func (a *App) isBack(r *http.Request) bool {
	for _, line := range r.Header["Via"] {
		if strings.Contains(line, a.name) {
			return true
		}
	}
	return false
}

// circle is said once: every request would say it.
func (a *App) circle() error {
	a.circles.Do(func() {
		a.c.Logger.Error("requests to the application come back to Vestibule in a loop: set app.url to where the application itself listens", "app", a.origin)
	})
	return fmt.Errorf("%w: %s leads back to Vestibule", ErrAppUnavailable, a.origin)
}
