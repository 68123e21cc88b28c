package eventsdev_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"vestibule/upstream/eventsdev"
)

var published = regexp.MustCompile(`^\{"type":"publish_success","id":"p1","failed":\[\],"successful":\[\{"identifier":"[0-9a-f-]{36}","index":0\},\{"identifier":"[0-9a-f-]{36}","index":1\}\]\}$`)

func TestTwoSocketsTalk(t *testing.T) {
	b := start(t)
	alice, bob := b.connect(), b.connect()
	b.subscribed(alice, "a1", "default/room")
	b.subscribed(bob, "b1", "/default/room/")
	alice.send(b.operation("publish", "p1", "/default/room", b.token(nil), `{"n":1,"s":"\u00e9<b>"}`, `2`))
	// One event in each frame, as a string, to the publisher as well.
	alice.want(`{"type":"data","id":"a1","event":"{\"n\":1,\"s\":\"\\u00e9<b>\"}"}`)
	alice.want(`{"type":"data","id":"a1","event":"2"}`)
	if got, err := alice.next(); err != nil || !published.MatchString(got) {
		t.Errorf("got %s, %v", got, err)
	}
	bob.want(`{"type":"data","id":"b1","event":"{\"n\":1,\"s\":\"\\u00e9<b>\"}"}`)
	bob.want(`{"type":"data","id":"b1","event":"2"}`)

	bob.send(`{"id":"b1","type":"unsubscribe"}`)
	bob.want(`{"type":"unsubscribe_success","id":"b1"}`)
	alice.send(b.operation("publish", "p1", "default/room", b.token(nil), `3`))
	alice.want(`{"type":"data","id":"a1","event":"3"}`)
	if got, err := alice.next(); err != nil || !strings.Contains(got, "publish_success") {
		t.Errorf("got %s, %v", got, err)
	}
	bob.send(`{"id":"b1","type":"unsubscribe"}`)
	bob.wantError("unsubscribe_error", "b1", "UnknownOperationError")
	if got := b.s.Stats(); got.Connections != 2 || got.Subscriptions != 1 || got.Subscribed != 2 || got.Published != 3 || got.Delivered != 5 {
		t.Errorf("got %+v", got)
	}
}

func TestWildcardsHearWhatIsBelowThem(t *testing.T) {
	b := start(t, func(c *eventsdev.Config) { c.Namespaces = []string{"default", "other"} })
	heard := map[string]string{} // channel → subscriptions that heard it
	c := b.connect()
	for id, at := range map[string]string{"all": "default/*", "a": "/default/a/*", "exact": "default/a/b", "deep": "default/a/b/c/*", "other": "other/*"} {
		b.subscribed(c, id, at)
	}
	for _, at := range []string{"default", "default/x", "default/a", "default/a/b", "default/A/b", "default/a/b/c/d", "default/ab"} {
		if status, body := b.post(b.token(nil), publishBody(at, `"`+at+`"`)); status != 200 {
			t.Fatalf("%s: %d %s", at, status, body)
		}
	}
	if status, _ := b.post(b.token(nil), publishBody("other/end", `"end"`)); status != 200 {
		t.Fatal(status)
	}
	for {
		data, err := c.next()
		if err != nil {
			t.Fatal(err)
		}
		var got struct{ ID, Event string }
		if err := json.Unmarshal([]byte(data), &got); err != nil {
			t.Fatal(err)
		}
		if got.Event == `"end"` {
			break
		}
		heard[got.Event] += got.ID + " "
	}
	want := map[string]int{
		`"default/x"`: len("all "), `"default/a"`: len("all "), `"default/a/b"`: len("all a exact "), `"default/A/b"`: len("all "),
		`"default/a/b/c/d"`: len("all a deep "), `"default/ab"`: len("all "),
	}
	for event, length := range want {
		if len(heard[event]) != length {
			t.Errorf("%s was heard by %q", event, heard[event])
		}
	}
	if len(heard) != len(want) {
		t.Errorf("heard %v", heard)
	}
}

func TestOperationsAreRefusedWithAnErrorOfTheirKind(t *testing.T) {
	b := start(t, func(c *eventsdev.Config) { c.Namespaces = []string{"default", "chat-2"} })
	good, stale := b.token(nil), b.token(map[string]any{"exp": 1})
	const unauthorized, bad = "UnauthorizedException", "BadRequestException"
	segment := strings.Repeat("x", 50)
	for what, c := range map[string]struct {
		frame, id, errorType string // id: under which it is told
		kind                 string
		reason               eventsdev.Reason
	}{
		"not JSON":                        {`{"type":`, "", bad, "error", eventsdev.ReasonFrame},
		"a list":                          {`["subscribe"]`, "", bad, "error", eventsdev.ReasonFrame},
		"null":                            {`null`, "", bad, "error", eventsdev.ReasonFrame},
		"no type":                         {`{"id":"x"}`, "x", bad, "error", eventsdev.ReasonFrame},
		"a type in other letters":         {`{"id":"x","Type":"subscribe"}`, "x", bad, "error", eventsdev.ReasonFrame},
		"a channel that is a number":      {`{"id":"x","type":"subscribe","channel":1}`, "x", bad, "error", eventsdev.ReasonFrame},
		"an authorization that is a text": {`{"id":"x","type":"subscribe","channel":"default","authorization":"` + good + `"}`, "x", bad, "error", eventsdev.ReasonFrame},
		"an unknown type":                 {`{"id":"x","type":"start"}`, "x", "UnsupportedOperation", "error", eventsdev.ReasonFrame},

		"subscribe without an id":       {`{"type":"subscribe","channel":"default"}`, "", bad, "subscribe_error", eventsdev.ReasonOperationID},
		"an id with a dot":              {b.operation("subscribe", "a.b", "default", good), "", bad, "subscribe_error", eventsdev.ReasonOperationID},
		"an id of 129":                  {b.operation("publish", strings.Repeat("x", 129), "default", good, "1"), "", bad, "publish_error", eventsdev.ReasonOperationID},
		"subscribe without a token":     {b.operation("subscribe", "x", "default", ""), "x", unauthorized, "subscribe_error", eventsdev.ReasonNoToken},
		"subscribe with an expired one": {b.operation("subscribe", "x", "default", stale), "x", unauthorized, "subscribe_error", eventsdev.ReasonExpired},
		"publish without a token":       {b.operation("publish", "x", "default", "", "1"), "x", unauthorized, "publish_error", eventsdev.ReasonNoToken},
		"publish with an expired one":   {b.operation("publish", "x", "default", stale, "1"), "x", unauthorized, "publish_error", eventsdev.ReasonExpired},

		"no channel":                  {b.operation("subscribe", "x", "", good), "x", bad, "subscribe_error", eventsdev.ReasonChannel},
		"six segments":                {b.operation("subscribe", "x", "default/2/3/4/5/6", good), "x", bad, "subscribe_error", eventsdev.ReasonChannel},
		"a segment of 51":             {b.operation("subscribe", "x", "default/x"+segment, good), "x", bad, "subscribe_error", eventsdev.ReasonChannel},
		"an underscore":               {b.operation("subscribe", "x", "default/Google_1", good), "x", bad, "subscribe_error", eventsdev.ReasonChannel},
		"an address":                  {b.operation("subscribe", "x", "default/a@b.example", good), "x", bad, "subscribe_error", eventsdev.ReasonChannel},
		"a hyphen at the start":       {b.operation("subscribe", "x", "default/-a", good), "x", bad, "subscribe_error", eventsdev.ReasonChannel},
		"a hyphen at the end":         {b.operation("subscribe", "x", "default/a-", good), "x", bad, "subscribe_error", eventsdev.ReasonChannel},
		"an empty segment":            {b.operation("subscribe", "x", "default//a", good), "x", bad, "subscribe_error", eventsdev.ReasonChannel},
		"a star in the middle":        {b.operation("subscribe", "x", "default/*/a", good), "x", bad, "subscribe_error", eventsdev.ReasonChannel},
		"a star within a segment":     {b.operation("subscribe", "x", "default/a*", good), "x", bad, "subscribe_error", eventsdev.ReasonChannel},
		"nothing but a star":          {b.operation("subscribe", "x", "/*", good), "x", bad, "subscribe_error", eventsdev.ReasonChannel},
		"a star as the sixth":         {b.operation("subscribe", "x", "default/2/3/4/5/*", good), "x", bad, "subscribe_error", eventsdev.ReasonChannel},
		"an unknown namespace":        {b.operation("subscribe", "x", "chat/a", good), "x", bad, "subscribe_error", eventsdev.ReasonNamespace},
		"a namespace in other case":   {b.operation("subscribe", "x", "Default/a", good), "x", bad, "subscribe_error", eventsdev.ReasonNamespace},
		"publish to a wildcard":       {b.operation("publish", "x", "default/*", good, "1"), "x", bad, "publish_error", eventsdev.ReasonChannel},
		"publish to an unknown space": {b.operation("publish", "x", "chat/a", good, "1"), "x", bad, "publish_error", eventsdev.ReasonNamespace},

		"no events":           {b.operation("publish", "x", "default", good), "x", bad, "publish_error", eventsdev.ReasonEvents},
		"an empty list":       {b.operation("publish", "x", "default", good, []string{}...), "x", bad, "publish_error", eventsdev.ReasonEvents},
		"six events":          {b.operation("publish", "x", "default", good, "1", "2", "3", "4", "5", "6"), "x", bad, "publish_error", eventsdev.ReasonEvents},
		"an event of no JSON": {b.operation("publish", "x", "default", good, "1", "hello"), "x", bad, "publish_error", eventsdev.ReasonEvents},
		"an empty event":      {b.operation("publish", "x", "default", good, ""), "x", bad, "publish_error", eventsdev.ReasonEvents},
		"an event object":     {`{"id":"x","type":"publish","channel":"default","events":[{"a":1}],"authorization":{"Authorization":"` + good + `"}}`, "x", bad, "publish_error", eventsdev.ReasonEvents},
		"an event null":       {`{"id":"x","type":"publish","channel":"default","events":[null],"authorization":{"Authorization":"` + good + `"}}`, "x", bad, "publish_error", eventsdev.ReasonEvents},
		"an event too large":  {b.operation("publish", "x", "default", good, `"`+strings.Repeat("x", 240_000-1)+`"`), "x", bad, "publish_error", eventsdev.ReasonTooLarge},
		"a publish too large": {b.operation("publish", "x", "default", good, full(5, 240_000)...), "x", bad, "publish_error", eventsdev.ReasonTooLarge},
	} {
		t.Run(what, func(t *testing.T) {
			s := b.connect()
			s.t = t
			before := b.refusals(c.reason)
			s.send(c.frame)
			s.wantError(c.kind, c.id, c.errorType)
			if got := b.refusals(c.reason) - before; got != 1 {
				t.Errorf("%s was counted %d times", c.reason, got)
			}
			b.subscribed(s, "after", "chat-2/goes-on") // no refusal ends the socket
		})
	}
	if got := b.s.Stats(); got.Published != 0 {
		t.Errorf("%d events were published all the same", got.Published)
	}
}

// full is n events of so many bytes.
func full(n, bytes int) []string {
	var list []string
	for range n {
		list = append(list, `"`+strings.Repeat("x", bytes-2)+`"`)
	}
	return list
}

func TestTheLargestEventAndTheLongestNamesPass(t *testing.T) {
	b := start(t)
	c := b.connect()
	longest := "/default" + strings.Repeat("/"+strings.Repeat("x", 50), 4) + "/"
	id := strings.Repeat("aA0-_+", 21) + "xy"
	b.subscribed(c, id, longest)
	event := full(1, 240_000)[0]
	if status, body := b.post(b.token(nil), publishBody(longest, event)); status != 200 {
		t.Fatalf("got %d %s", status, body)
	}
	c.want(fmt.Sprintf(`{"type":"data","id":"%s","event":"\"%s\""}`, id, event[1:len(event)-1]))
}

func TestAnIDServesOneSubscriptionAtATime(t *testing.T) {
	b := start(t)
	c, other := b.connect(), b.connect()
	b.subscribed(c, "s", "default/a")
	c.send(b.operation("subscribe", "s", "default/b", b.token(nil)))
	c.wantError("subscribe_error", "s", "DuplicatedOperationError")
	b.subscribed(other, "s", "default/a") // another connection's ids are its own
	c.send(`{"id":"s","type":"unsubscribe"}`)
	c.want(`{"type":"unsubscribe_success","id":"s"}`)
	b.subscribed(c, "s", "default/b")
	if got := b.s.Stats().Subscriptions; got != 2 {
		t.Errorf("%d subscriptions", got)
	}
}

func TestAConnectionHas200Subscriptions(t *testing.T) {
	b := start(t)
	c, other := b.connect(), b.connect()
	for i := range 200 {
		b.subscribed(c, fmt.Sprint(i), "default/a")
	}
	c.send(b.operation("subscribe", "200", "default/a", b.token(nil)))
	c.wantError("subscribe_error", "200", "MaxSubscriptionsReachedError")
	b.subscribed(other, "200", "default/a")
	c.send(`{"id":"0","type":"unsubscribe"}`)
	c.want(`{"type":"unsubscribe_success","id":"0"}`)
	b.subscribed(c, "200", "default/a")
}

func TestAConnectionPublishes25TimesASecond(t *testing.T) {
	b := start(t)
	c, other := b.connect(), b.connect()
	publish := func(s *socket, want string) {
		t.Helper()
		s.send(b.operation("publish", "p", "default/a", b.token(nil), "1"))
		if got, err := s.next(); err != nil || !strings.Contains(got, want) {
			t.Fatalf("got %s, %v; want %s", got, err, want)
		}
	}
	for range 25 {
		publish(c, "publish_success")
	}
	publish(c, "LimitExceededError")
	publish(other, "publish_success")
	b.clock.forward(40 * time.Millisecond)
	publish(c, "publish_success")
	publish(c, "LimitExceededError")
	b.clock.forward(time.Hour)
	for range 25 {
		publish(c, "publish_success")
	}
	publish(c, "LimitExceededError")
}

func TestAnOpenSubscriptionOutlivesItsToken(t *testing.T) {
	b := start(t)
	c := b.connect()
	token := b.token(nil)
	c.send(b.operation("subscribe", "s", "default/a", token))
	c.want(`{"type":"subscribe_success","id":"s"}`)
	b.clock.forward(time.Hour)
	if status, body := b.post(b.token(nil), publishBody("default/a", "1")); status != 200 {
		t.Fatalf("got %d %s", status, body)
	}
	c.want(`{"type":"data","id":"s","event":"1"}`)
	c.send(b.operation("subscribe", "s2", "default/b", token))
	c.want(`{"type":"subscribe_error","id":"s2","errors":[{"errorType":"UnauthorizedException","message":"Token has expired."}]}`)
	c.send(b.operation("publish", "p", "default/a", token, "2"))
	c.want(`{"type":"publish_error","id":"p","errors":[{"errorType":"UnauthorizedException","message":"Token has expired."}]}`)
	b.subscribed(c, "s2", "default/b") // the socket is as good as before
}

func TestASubscriptionEndsWithItsSocket(t *testing.T) {
	b := start(t)
	c := b.connect()
	b.subscribed(c, "s", "default/a")
	if err := c.ws.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Fatal(err)
	}
	b.waitConnections(0)
	if status, _ := b.post(b.token(nil), publishBody("default/a", "1")); status != 200 {
		t.Fatal(status)
	}
	if got := b.s.Stats(); got.Subscriptions != 0 || got.Delivered != 0 || got.Published != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestBinaryAndOversizedFramesEndTheSocket(t *testing.T) {
	b := start(t)
	c := b.connect()
	if err := c.ws.Write(t.Context(), websocket.MessageBinary, []byte(`{"type":"connection_init"}`)); err != nil {
		t.Fatal(err)
	}
	c.wantClose(websocket.StatusUnsupportedData)
	c = b.connect()
	// The server stops reading in the middle, so the writer may be cut before it can read the close frame.
	_ = c.ws.Write(t.Context(), websocket.MessageText, []byte(`{"type":"publish","x":"`+strings.Repeat("x", 3<<20)+`"}`))
	if got, err := c.next(); err == nil {
		t.Errorf("got %s", got)
	}
	b.waitConnections(0)
}
