package web_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"vestibule/handlers"
	"vestibule/web"
)

// Readiness says no first, then what is under way is finished, then the sockets close: nothing is cut.
func TestStopFinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	drained := false
	s, _ := newServer(t, func(c *web.Config) {
		c.ShutdownDelay = 300 * time.Millisecond
		c.Home = func(x *handlers.Exchange) error {
			close(entered)
			<-leave
			return x.String(http.StatusOK, "finished")
		}
		c.Drain = func(context.Context) error { drained = true; return nil }
	})
	r := run(t, s)
	slow := make(chan string, 1)
	go func() {
		res, err := http.Get("http://" + r.public + "/")
		if err != nil {
			slow <- err.Error()
			return
		}
		defer res.Body.Close()
		slow <- res.Status
	}()
	<-entered
	r.stop()

	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range tick.C { // within the delay the public listener still answers, and says that it is about to go
		status, body := ask(t, http.MethodGet, "http://"+r.public+"/readyz")
		if status == http.StatusServiceUnavailable && strings.Contains(body, "stopping") {
			break
		}
	}
	select {
	case err := <-r.done:
		t.Fatalf("stopped (%v) while a request was under way", err)
	case <-time.After(400 * time.Millisecond): // beyond the delay
	}
	if status, _ := ask(t, http.MethodGet, "http://"+r.admin+"/healthz"); status != http.StatusOK {
		t.Errorf("the admin side while draining: got %d, want 200", status)
	}
	close(leave)
	if got := <-slow; got != "200 OK" {
		t.Errorf("the request under way: got %s, want 200", got)
	}
	if err := <-r.done; err != nil {
		t.Errorf("stop: %v", err)
	}
	if !drained {
		t.Error("what the handlers had started was not waited for")
	}
	if conn, err := net.Dial("tcp", r.public); err == nil {
		_ = conn.Close()
		t.Error("the listener is still open")
	}
}

func TestAListenerThatFailsEndsServing(t *testing.T) {
	t.Parallel()
	s, _ := newServer(t, nil)
	public, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, public.Close())
	if err := s.Serve(t.Context(), public, nil); err == nil {
		t.Error("got nil, want the listener's error")
	}
}
