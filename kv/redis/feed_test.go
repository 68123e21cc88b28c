package redis_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vestibule/kv"
	"vestibule/kv/kvtest"
	"vestibule/kv/redis"
	"vestibule/kv/redis/redistest"
)

// two opens the stores of two replicas for each test, with a prefix of its own.
func two(url string) func(t *testing.T) (a, b kv.Feed) {
	var n atomic.Int64
	return func(t *testing.T) (a, b kv.Feed) {
		own := fmt.Sprintf("%s&prefix=f%d:", url, n.Add(1))
		return open(t, own), open(t, own)
	}
}

func TestStandaloneIsAFeed(t *testing.T) {
	t.Parallel()
	kvtest.RunFeed(t, two(redistest.Start(t, redistest.Config{}).URL()+"?"+patient))
}

func TestAClusterIsAFeed(t *testing.T) {
	t.Parallel()
	nodes := cluster(t)
	kvtest.RunFeed(t, two("redis://"+nodes[0].Addr()+","+nodes[1].Addr()+"?cluster=true&"+patient))
}

// quick notices a break soon and still outlasts a busy machine.
const quick = "timeout=2s"

func TestListenersGetOverEveryKindOfBreak(t *testing.T) {
	t.Parallel()
	for name, interrupt := range map[string]func(t *testing.T, server *redistest.Server, w *wire, log *buffer) func(){
		"a restart of the server": func(_ *testing.T, server *redistest.Server, _ *wire, _ *buffer) func() {
			return server.Restart
		},
		"connections that the server cuts": func(t *testing.T, server *redistest.Server, _ *wire, _ *buffer) func() {
			raw := client(t, server)
			return func() {
				if n, err := raw.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Result(); err != nil || n != 2 {
					t.Fatalf("%d connections were cut, %v, want 2", n, err)
				}
			}
		},
		"connections that carry nothing any more": func(t *testing.T, _ *redistest.Server, w *wire, _ *buffer) func() {
			return func() {
				if n := w.deafen(); n != 2 {
					t.Fatalf("%d connections were made deaf, want 2", n)
				}
			}
		},
		"a server that hangs": func(t *testing.T, server *redistest.Server, _ *wire, log *buffer) func() {
			return func() {
				before := strings.Count(log.String(), "not heard for now")
				server.Pause()
				eventually(t, 30*time.Second, "both listeners' notice", func() error {
					if n := strings.Count(log.String(), "not heard for now"); n < before+2 {
						return fmt.Errorf("%d have noticed", n-before)
					}
					return nil
				})
				server.Resume()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kvtest.RunFeedBreak(t, func(t *testing.T) (a, b kv.Feed, _ func()) {
				server, log := redistest.Start(t, redistest.Config{}), &buffer{}
				w := newWire(t, "", server.Addr())
				say := slog.New(slog.NewTextHandler(log, nil))
				url := "redis://" + w.addr + "?" + quick
				return openLogged(t, url, say), openLogged(t, url, say), interrupt(t, server, w, log)
			})
		})
	}
}

// hearing listens with a store until the test ends; what it hears and "missed" come through the channel.
func hearing(t *testing.T, s *redis.Store) <-chan string {
	t.Helper()
	got := make(chan string, 1000)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Listen(ctx, kv.Listener{Hear: func(message []byte) { got <- string(message) }, Missed: func() { got <- "missed" }})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return got
}

func next(t *testing.T, got <-chan string, want string) {
	t.Helper()
	select {
	case message := <-got:
		if message != want {
			t.Fatalf("%.40q is heard, want %q", message, want)
		}
	case <-time.After(60 * time.Second):
		t.Fatalf("%q is not heard", want)
	}
}

func TestEachPrefixAndDatabaseHasItsOwnFeed(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{})
	urls := []string{"?prefix=one:&", "?prefix=two:&", "/1?prefix=one:&"}
	var ears []<-chan string
	for _, url := range urls {
		ears = append(ears, hearing(t, open(t, server.URL()+url+patient)))
	}
	for _, ear := range ears {
		next(t, ear, "missed")
	}
	for i, url := range urls {
		s := open(t, server.URL()+url+patient)
		if err := s.Publish(t.Context(), []byte(url)); err != nil {
			t.Fatal(err)
		}
		next(t, ears[i], url)
	}
	for i, ear := range ears {
		if len(ear) > 0 {
			t.Errorf("%s hears %q, which is another's", urls[i], <-ear)
		}
	}
}

func TestWhatNobodyOfOursCanHavePublishedIsNotHeard(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{})
	s, raw := open(t, server.URL()+"?"+patient), client(t, server)
	got := hearing(t, s)
	next(t, got, "missed")
	for _, message := range []string{"", strings.Repeat("x", kv.MaxMessage+1), strings.Repeat("x", 1<<20)} {
		if n, err := raw.Publish(t.Context(), "vestibule:feed/0", message).Result(); err != nil || n != 1 {
			t.Fatalf("%d listeners got it, %v: this proves nothing", n, err)
		}
	}
	if err := s.Publish(t.Context(), []byte("ours")); err != nil {
		t.Fatal(err)
	}
	next(t, got, "ours")
}

// A listener that falls so far behind that the server has no room for it is cut off, and so it learns that it missed something.
func TestAListenerTheServerGivesUpOnHearsOfIt(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{Lines: []string{"client-output-buffer-limit pubsub 256kb 0 0"}})
	s := open(t, server.URL()+"?"+patient)
	hold, missed, heard := make(chan struct{}), make(chan struct{}, 100), make(chan string, 100_000)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Listen(ctx, kv.Listener{Hear: func(m []byte) { <-hold; heard <- string(m) }, Missed: func() { missed <- struct{}{} }})
	}()
	t.Cleanup(func() { cancel(); <-done })
	<-missed
	raw := client(t, server)
	message, listeners := strings.Repeat("x", kv.MaxMessage), int64(1)
	for n := 0; listeners > 0; n++ {
		if n == 50_000 {
			t.Fatal("after 50 MB the server still has room")
		}
		var err error
		if listeners, err = raw.Publish(t.Context(), "vestibule:feed/0", message).Result(); err != nil {
			t.Fatal(err)
		}
	}
	close(hold)
	<-missed
	if err := s.Publish(t.Context(), []byte("now")); err != nil {
		t.Fatal(err)
	}
	for m := range heard {
		if m == "now" {
			return
		}
	}
}

// Nobody publishes for longer than a listener bears silence: it hears itself.
func TestAnIdleListenerIsLeftInPeace(t *testing.T) {
	t.Parallel()
	got := hearing(t, open(t, redistest.Start(t, redistest.Config{}).URL()+"?timeout=1s"))
	next(t, got, "missed")
	pass(6 * time.Second)
	if len(got) > 0 {
		t.Errorf("%q came though nothing happened", <-got)
	}
}

// The operator reads of a break once and of its end once, however many attempts lie between.
func TestABreakIsLoggedOnce(t *testing.T) {
	t.Parallel()
	server, log := redistest.Start(t, redistest.Config{}), &buffer{}
	s := openLogged(t, server.URL()+"?"+patient, slog.New(slog.NewTextHandler(log, nil)))
	got := hearing(t, s)
	next(t, got, "missed")
	server.Stop()
	eventually(t, 20*time.Second, "the notice", func() error {
		if !strings.Contains(log.String(), "not heard for now") {
			return errors.New("nothing is logged")
		}
		return nil
	})
	pass(1500 * time.Millisecond) // for some attempts
	server.Restart()
	next(t, got, "missed")
	if text := log.String(); strings.Count(text, "level=WARN") != 1 || strings.Count(text, "level=INFO") != 1 {
		t.Errorf("want one warning and one all-clear, got\n%s", text)
	}
}

// Rights that are missing are no reason to hurry, and none to despair.
func TestAListenerWithoutTheRightWaitsForIt(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{Lines: []string{"user vestibule on >secret ~vestibule:* -@all +publish"}})
	got := hearing(t, open(t, "redis://vestibule:secret@"+server.Addr()+"?"+patient))
	raw := client(t, server)
	refusals := func() (n int) {
		for line := range strings.Lines(raw.Info(t.Context(), "commandstats").Val()) {
			if _, of, is := strings.Cut(line, "cmdstat_subscribe:"); is {
				_, rejected, _ := strings.Cut(of, "rejected_calls=")
				_, _ = fmt.Sscanf(rejected, "%d", &n)
			}
		}
		return n
	}
	eventually(t, 20*time.Second, "the first attempt", func() error {
		if refusals() == 0 {
			return errors.New("none yet")
		}
		return nil
	})
	before := refusals()
	pass(3 * time.Second)
	if n := refusals() - before; n > 15 {
		t.Errorf("%d attempts in three seconds, want a few", n)
	}
	if err := raw.Do(t.Context(), "acl", "setuser", "vestibule", "&vestibule:*", "+subscribe").Err(); err != nil {
		t.Fatal(err)
	}
	next(t, got, "missed")
}

// Who may listen and not publish does not hear itself either, and the log says why.
func TestAListenerThatDoesNotHearItselfSaysWhy(t *testing.T) {
	t.Parallel()
	server, log := redistest.Start(t, redistest.Config{Lines: []string{"user vestibule on >secret ~vestibule:* &vestibule:* -@all +eval +evalsha +subscribe"}}), &buffer{}
	s := openLogged(t, "redis://vestibule:secret@"+server.Addr()+"?"+quick, slog.New(slog.NewTextHandler(log, nil)))
	got := hearing(t, s)
	next(t, got, "missed")
	next(t, got, "missed")
	if text := log.String(); !strings.Contains(text, "what is published is not heard") || !strings.Contains(text, "redis: publish: ") {
		t.Errorf("want the cause, got\n%s", text)
	}
}

func TestPublishingToAServerThatHangsCostsOneTimeout(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{})
	s := open(t, server.URL()+"?timeout=100ms")
	eventually(t, 10*time.Second, "the first message", func() error { return s.Publish(t.Context(), []byte("m")) })
	server.Pause()
	begun := time.Now()
	err := s.Publish(t.Context(), []byte("m"))
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("it took %s, want about 100 ms", took)
	}
	if err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want a fault that is not the caller's deadline", err)
	}
	server.Resume()
	eventually(t, 10*time.Second, "recovery", func() error { return s.Publish(t.Context(), []byte("m")) })
}
