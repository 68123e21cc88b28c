package upstream_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// An application that is found at our own address.
func TestARequestThatComesBackIsRefused(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]string{
		"a page":   "GET / HTTP/1.1\nHost: x\n\n",
		"a body":   "POST / HTTP/1.1\nHost: x\nContent-Length: 2\n\nhi",
		"a socket": "GET / HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: eA==\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var self *url.URL
			h := newHouse(t, &seen{}, func(o *options) {
				o.config.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
					r.URL.Host = self.Host
					return http.DefaultTransport.RoundTrip(r)
				})
			})
			self = parse(t, h.url)
			for range 3 {
				if res, _ := h.ask(t, request); res.StatusCode != http.StatusBadGateway {
					t.Errorf("got %d, want 502", res.StatusCode)
				}
			}
			if got := len(h.errs); got < 3 || got > 6 { // what is outside may not have ended yet
				t.Errorf("%d requests for 3 and their way back", got)
			}
			if log := h.logs.String(); strings.Count(log, "level=ERROR") != 1 || !strings.Contains(log, "in a loop") || !strings.Contains(log, "app.url") {
				t.Errorf("the log says %q, want one line with the loop and its cure", log)
			}
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// RFC 9110, section 7.6.3.
func TestTheWayHereIsAddedTo(t *testing.T) {
	t.Parallel()
	app := &seen{}
	h := newHouse(t, app, nil)
	long := "1.1 " + strings.Repeat("x", 2000)
	var own string
	for _, c := range []struct{ request, before string }{
		{"GET / HTTP/1.1\nHost: x\n\n", ""},
		{"GET / HTTP/1.1\nHost: x\nVia: 2.0 a, 1.1 b\nVia: 1.0 vestibule-x\n\n", "2.0 a, 1.1 b, 1.0 vestibule-x, "},
		{"GET / HTTP/1.1\nHost: x\nConnection: Via\n\n", ""},
		{"GET / HTTP/1.1\nHost: x\nVia: " + long + "\n\n", ""},
	} {
		h.ask(t, c.request)
		r, _ := app.last(t)
		got := strings.Join(r.Header["Via"], "|")
		if own == "" {
			own = got
		}
		if got != c.before+own {
			t.Errorf("%.80q: got %q, want %q and our own name", c.request, got, c.before)
		}
	}
	if !strings.HasPrefix(own, "1.1 vestibule-") || len(own) < len("1.1 vestibule-")+10 {
		t.Errorf("got %q, want a name that nobody guesses", own)
	}
	other := newHouse(t, app, nil)
	if res, _ := other.ask(t, "GET / HTTP/1.1\nHost: x\nVia: "+own+"\n\n"); res.StatusCode != http.StatusOK {
		t.Errorf("one Vestibule behind another: got %d", res.StatusCode)
	}
}
