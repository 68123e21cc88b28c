package handlers_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"vestibule/idp/devidp"
)

// sockets is an application that only has sockets, which send back what they hear. It tells the header of each handshake.
func sockets(heard chan<- http.Header) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		heard <- r.Header
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		for err == nil {
			var kind websocket.MessageType
			var said []byte
			if kind, said, err = c.Read(r.Context()); err == nil {
				err = c.Write(r.Context(), kind, said)
			}
		}
	})
}

// socket is a browser's.
type socket struct {
	conn  *websocket.Conn
	heard <-chan string
	ended <-chan error // why it has ended
}

// socket opens one as the browser.
func (b *browser) socket() (handshake *http.Response, opened *socket) {
	b.t.Helper()
	_, cookies, _ := strings.Cut(b.cookies(), ": ")
	c, res, err := websocket.Dial(b.t.Context(), "ws"+strings.TrimPrefix(b.s.url, "http")+"/socket", &websocket.DialOptions{
		HTTPHeader: http.Header{"Cookie": {cookies}, "Sec-Fetch-Site": {"same-origin"}, "Origin": {b.s.origin}},
	})
	must(b.t, err)
	b.t.Cleanup(func() { _ = c.CloseNow() })
	heard, end := make(chan string, 10), make(chan error, 1)
	go func() {
		for {
			_, said, err := c.Read(context.Background())
			if err != nil {
				end <- err
				return
			}
			heard <- string(said)
		}
	}()
	return res, &socket{conn: c, heard: heard, ended: end}
}

// stillOpen fails unless the socket still reaches the application, and the application it.
func (s *socket) stillOpen(t *testing.T) {
	t.Helper()
	if err := s.conn.Write(t.Context(), websocket.MessageText, []byte("still there?")); err != nil {
		t.Errorf("the socket ended: %v", err)
		return
	}
	select {
	case <-s.heard:
	case err := <-s.ended:
		t.Errorf("the socket ended: %v", err)
	case <-time.After(10 * time.Second):
		t.Error("the socket says nothing")
	}
}

func TestSocketsOfTheApplicationEndWithTheProcess(t *testing.T) {
	t.Parallel()
	heard := make(chan http.Header, 1)
	s := newServer(t, func(o *options) { o.app = sockets(heard) })
	b := s.browser(t)
	b.signIn()
	s.clock.advance(2 * time.Hour)
	res, opened := b.socket()
	if h := <-heard; h.Get("Authorization") == "" || h.Get("Cookie") != "" {
		t.Errorf("the application heard %q", h)
	}
	if !strings.Contains(strings.Join(res.Header["Set-Cookie"], ""), s.cookie) {
		t.Error("the handshake lost the newer session")
	}
	s.stop()
	if err := <-opened.ended; websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("got %v, want 1001", err)
	}
	until(t, "the record tells 101", func() bool { return strings.Contains(s.logs.String(), "status=101") })
}

func TestSocketsOfTheApplicationEndWithTheirSession(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*server, *browser){
		"signed out":     func(_ *server, b *browser) { b.post("/api/auth/sign-out", nil) },
		"signed in anew": func(_ *server, b *browser) { b.signIn() },
		"ended by the provider": func(s *server, b *browser) {
			s.faults(t, devidp.Faults{Token: devidp.Fault{OAuthError: "invalid_grant"}})
			b.get(tokenPath + "?forceRefresh=true")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			heard := make(chan http.Header, 2)
			s := newServer(t, func(o *options) { o.app = sockets(heard) })
			b, other := s.browser(t), s.browser(t)
			b.signIn()
			other.signIn()
			_, opened := b.socket()
			_, stays := other.socket()
			end(s, b)
			if err := <-opened.ended; websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
				t.Errorf("got %v, want 1008", err)
			}
			stays.stillOpen(t)
		})
	}
}

// Word of an ending can get lost, and a socket may last for weeks.
func TestSocketsOfTheApplicationAskAfterTheirSession(t *testing.T) {
	t.Parallel()
	heard := make(chan http.Header, 2)
	s := newServer(t, nil)
	other := s.replica(t, func(o *options) { deaf(o); o.app, o.handlers.Look = sockets(heard), 20*time.Millisecond })
	b, second := s.browser(t), s.browser(t)
	b.signIn()
	second.signIn()
	_, opened := b.at(other).socket()
	_, stays := second.at(other).socket()
	b.post("/api/auth/sign-out", nil)
	if err := <-opened.ended; websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("got %v, want 1008", err)
	}
	stays.stillOpen(t)
}

// What is no certain ending leaves a socket open: nobody can say, or only the form of the session that it began with is over.
func TestSocketsOfTheApplicationOutlastWhatIsNoEnding(t *testing.T) {
	t.Parallel()
	heard, store := make(chan http.Header, 1), newAsked()
	s := newServer(t, func(o *options) {
		o.app, o.handlers.Look, o.session.Store, o.session.IdleTimeout = sockets(heard), 20*time.Millisecond, store, time.Hour
	})
	b := s.browser(t)
	b.signIn()
	_, opened := b.socket()
	looks := func(when string) {
		t.Helper()
		before := store.reads.Load()
		until(t, when+", it looks again and again", func() bool { return store.reads.Load() > before+5 })
		opened.stillOpen(t)
	}
	looks("while the session stands")
	store.down.Store(true)
	looks("while nobody can say")
	store.down.Store(false)
	s.clock.advance(40 * time.Minute)
	b.token("")
	s.clock.advance(40 * time.Minute)
	looks("when only an older form of the session is idle")
}

func TestAHandshakeUnderWayAtASignOutOpensNothing(t *testing.T) {
	t.Parallel()
	heard, proceed := make(chan http.Header, 1), make(chan struct{})
	open := sockets(heard)
	s := newServer(t, func(o *options) {
		o.app = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-proceed
			<-proceed
			open.ServeHTTP(w, r)
		})
	})
	b := s.browser(t)
	b.signIn()
	_, cookies, _ := strings.Cut(b.cookies(), ": ")
	end := make(chan error, 1)
	go func() {
		c, _, err := websocket.Dial(context.Background(), "ws"+strings.TrimPrefix(s.url, "http")+"/socket", &websocket.DialOptions{
			HTTPHeader: http.Header{"Cookie": {cookies}, "Sec-Fetch-Site": {"same-origin"}, "Origin": {s.origin}},
		})
		if err == nil {
			_, _, err = c.Read(context.Background())
		}
		end <- err
	}()
	proceed <- struct{}{} // the application has the request
	b.post("/api/auth/sign-out", nil)
	close(proceed)
	if err := <-end; websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("got %v, want 1008", err)
	}
}

func TestSocketsOfTheApplicationEndWithTheLifeOfTheirSession(t *testing.T) {
	t.Parallel()
	heard := make(chan http.Header, 1)
	s := newServer(t, func(o *options) { o.app, o.session.MaxAge = sockets(heard), 2*time.Second })
	b := s.browser(t)
	b.signIn()
	s.clock.advance(1900 * time.Millisecond) // the rest passes by the real clock, which sockets go by
	_, opened := b.socket()
	if err := <-opened.ended; websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("got %v, want 1008", err)
	}
}
