package dynamodb_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"vestibule/kv"
	"vestibule/kv/dynamodb"
	"vestibule/kv/dynamodb/dynamodbtest"
	"vestibule/kv/kvtest"
)

// buffer is a log that may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestATableIsAFeed(t *testing.T) {
	t.Parallel()
	server := dynamodbtest.Start(t)
	kvtest.RunFeed(t, func(t *testing.T) (a, b kv.Feed) {
		url := server.URL() + patient
		return open(t, url, nil), open(t, url, nil)
	})
}

func TestListenersGetOverEveryKindOfBreak(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		begin, end func(server *dynamodbtest.Server, table string)
	}{
		"a server that hangs": {
			func(server *dynamodbtest.Server, _ string) { server.Pause() },
			func(server *dynamodbtest.Server, _ string) { server.Resume() },
		},
		"a table that is made anew": {
			func(server *dynamodbtest.Server, _ string) { server.Stop() },
			func(server *dynamodbtest.Server, table string) { server.Restart(); server.Create(table, "pk") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kvtest.RunFeedBreak(t, func(t *testing.T) (a, b kv.Feed, _ func()) {
				server, log := dynamodbtest.Start(t), &buffer{}
				table := server.Table()
				url := "dynamodb://" + table + "?region=" + dynamodbtest.Region + "&endpoint=" + server.Endpoint() + "&timeout=2s"
				say := slog.New(slog.NewTextHandler(log, nil))
				return openLogged(t, url, nil, say), openLogged(t, url, nil, say), func() {
					before := strings.Count(log.String(), "not heard for now")
					c.begin(server, table)
					eventually(t, 30*time.Second, "both listeners' notice", func() error {
						if n := strings.Count(log.String(), "not heard for now"); n < before+2 {
							return fmt.Errorf("%d have noticed", n-before)
						}
						return nil
					})
					c.end(server, table)
				}
			})
		})
	}
}

// hearing listens with a store until the test ends; what it hears and "missed" come through the channel.
func hearing(t *testing.T, s *dynamodb.Store) <-chan string {
	t.Helper()
	got := make(chan string, 10_000)
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

func publish(t *testing.T, s *dynamodb.Store, message string) {
	t.Helper()
	if err := s.Publish(t.Context(), []byte(message)); err != nil {
		t.Fatalf("publish %q: %v", message, err)
	}
}

// A publisher that dies between its two writes leaves a number without a message.
func TestAMessageThatNeverComesIsMissedAndHoldsUpNothingForLong(t *testing.T) {
	t.Parallel()
	server := dynamodbtest.Start(t)
	f := newFront(t, server)
	url := f.store(t, server)
	got := hearing(t, open(t, url+"&timeout=2s", nil))
	next(t, got, "missed")
	s := open(t, url+patient, nil)
	f.set(func(w http.ResponseWriter, operation, _ string) bool {
		return operation == "PutItem" && refuse("AccessDeniedException")(w, "", "")
	})
	if err := s.Publish(t.Context(), []byte("lost")); err == nil {
		t.Fatal("a message that was not written was published")
	}
	f.set(nil)
	begun := time.Now()
	publish(t, s, "held up")
	next(t, got, "missed")
	if took := time.Since(begun); took > 15*time.Second {
		t.Errorf("the gap was felt for %s, want some 3 s", took)
	}
	publish(t, s, "after")
	next(t, got, "after")
}

// A message that is counted and comes a little later is heard in its place.
func TestAMessageThatComesLateIsHeardBeforeThoseAfterIt(t *testing.T) {
	t.Parallel()
	server := dynamodbtest.Start(t)
	f := newFront(t, server)
	url := f.store(t, server) + patient
	got := hearing(t, open(t, url, nil))
	next(t, got, "missed")
	first, second := open(t, url, nil), open(t, url, nil)
	hold, held := make(chan struct{}), make(chan struct{})
	f.set(func(_ http.ResponseWriter, operation, body string) bool {
		if operation == "PutItem" && strings.Contains(body, "feed/1\"") {
			close(held)
			<-hold
		}
		return false
	})
	done := make(chan error, 1)
	go func() { done <- first.Publish(context.Background(), []byte("first")) }()
	<-held
	publish(t, second, "second")
	f.counts()
	eventually(t, 10*time.Second, "polls of the gap", func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.asked["BatchGetItem"] < 2 {
			return errors.New("not yet")
		}
		return nil
	})
	close(hold)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	next(t, got, "first")
	next(t, got, "second")
}

func TestAListenerFarBehindLooksForItself(t *testing.T) {
	t.Parallel()
	server := dynamodbtest.Start(t)
	table := server.Table()
	s := open(t, "dynamodb://"+table+"?region="+dynamodbtest.Region+"&endpoint="+server.Endpoint()+patient, nil)
	got := hearing(t, s)
	next(t, got, "missed")
	server.Ask("UpdateItem", `{"TableName":"`+table+`","Key":{"pk":{"S":"feed"}},"UpdateExpression":"ADD ver :n","ExpressionAttributeValues":{":n":{"N":"100000"}}}`)
	next(t, got, "missed")
	publish(t, s, "after")
	next(t, got, "after")
}

func TestPublishEndsInTimeAndNamesNobodysDeadlineButItsOwn(t *testing.T) {
	t.Parallel()
	server := dynamodbtest.Start(t)
	s := open(t, server.URL()+"&timeout=100ms", nil)
	server.Pause()
	begun := time.Now()
	err := s.Publish(t.Context(), []byte("m"))
	if !errors.Is(err, kv.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("it took %s, want 100 ms", took)
	}
}

// An idle listener costs one small read for each poll, and no more.
func TestWhatListeningCosts(t *testing.T) {
	t.Parallel()
	server := dynamodbtest.Start(t)
	f := newFront(t, server)
	asked := make(chan struct{}, 100)
	f.set(func(w http.ResponseWriter, operation, body string) bool {
		if operation != "GetItem" || !strings.Contains(body, `"ConsistentRead":true`) {
			t.Errorf("an idle listener asks %s %s", operation, body)
		}
		asked <- struct{}{}
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		_, _ = io.WriteString(w, `{}`)
		return true
	})
	hearing(t, open(t, f.store(t, server)+patient, nil))
	<-asked
	begun := time.Now()
	for range 5 {
		<-asked
	}
	if took := time.Since(begun); took < 5*320*time.Millisecond {
		t.Errorf("five polls in %s, want one in 320 to 400 ms", took)
	}
}
