package eventsdev_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"

	"vestibule/upstream/eventsdev"
)

func TestTheGreetingIsAckThenKeepAliveAtOnceAndAgain(t *testing.T) {
	b := start(t, func(c *eventsdev.Config) { c.KeepAlive = 5 * time.Millisecond; c.ConnectionTimeout = 90 * time.Second })
	c := b.dial()
	if got := c.ws.Subprotocol(); got != "aws-appsync-event-ws" {
		t.Errorf("the subprotocol is %q", got)
	}
	c.send(`{"type":"connection_init"}`)
	c.want(`{"type":"connection_ack","connectionTimeoutMs":90000}`)
	for range 4 {
		c.want(`{"type":"ka"}`)
	}
}

func TestHandshakesOfAllWritersAreRead(t *testing.T) {
	b := start(t)
	plain := b.header(b.token(nil))
	for what, offers := range map[string][]string{
		"in Amplify's order":       {"aws-appsync-event-ws", plain},
		"in the other order":       {plain, "aws-appsync-event-ws"},
		"with another beside it":   {"graphql-ws", "aws-appsync-event-ws", plain},
		"as Bearer":                {"aws-appsync-event-ws", b.header("Bearer " + b.token(nil))},
		"with lower-case names":    {"aws-appsync-event-ws", subprotocol(map[string]string{"authorization": b.token(nil), "host": b.host()})},
		"with more in the header":  {"aws-appsync-event-ws", subprotocol(map[string]any{"Authorization": b.token(nil), "host": b.host(), "x-amz-date": 7})},
		"under another local name": {"aws-appsync-event-ws", subprotocol(map[string]string{"Authorization": b.token(nil), "host": "localhost" + b.host()[len("127.0.0.1"):]})},
		"an ID token":              {"aws-appsync-event-ws", b.header(b.token(map[string]any{"token_use": "id", "client_id": nil, "aud": "app"}))},
	} {
		c := b.dial(offers...)
		c.send(`{"type":"connection_init"}`)
		if got, err := c.next(); err != nil || got != `{"type":"connection_ack","connectionTimeoutMs":300000}` {
			t.Errorf("%s: got %s, %v", what, got, err)
		}
	}
}

// A browser cannot say "=" in a subprotocol, other clients do.
func TestPaddingOfTheHeaderIsRead(t *testing.T) {
	b := start(t)
	for _, filling := range []string{"", "x", "xx"} {
		data := `{"Authorization":"` + b.token(nil) + `","host":"` + b.host() + `","x":"` + filling + `"}`
		c := b.dial("aws-appsync-event-ws", "header-"+base64.URLEncoding.EncodeToString([]byte(data)))
		c.send(`{"type":"connection_init"}`)
		c.want(`{"type":"connection_ack","connectionTimeoutMs":300000}`)
	}
}

// An HTTP error would be repeated six times by Amplify and told to nobody.
func TestBadCredentialsGetASocketAndAConnectionError(t *testing.T) {
	b := start(t)
	for what, c := range map[string]struct {
		header string // empty: none
		kind   string
		reason eventsdev.Reason
	}{
		"no header":              {"", "UnauthorizedException", eventsdev.ReasonNoToken},
		"no Authorization":       {subprotocol(map[string]string{"host": b.host()}), "UnauthorizedException", eventsdev.ReasonNoToken},
		"an API key":             {subprotocol(map[string]string{"x-api-key": "da2-x", "host": b.host()}), "UnauthorizedException", eventsdev.ReasonNoToken},
		"an expired token":       {b.header(b.token(map[string]any{"exp": 1})), "UnauthorizedException", eventsdev.ReasonExpired},
		"not base64url":          {"header-!!!", "BadRequestException", eventsdev.ReasonHandshake},
		"not an object":          {subprotocol([]string{"x"}), "BadRequestException", eventsdev.ReasonHandshake},
		"a token that is a list": {subprotocol(map[string][]string{"Authorization": {"x"}}), "BadRequestException", eventsdev.ReasonHandshake},
		"another API's host":     {subprotocol(map[string]string{"Authorization": b.token(nil), "host": "example.com"}), "BadRequestException", eventsdev.ReasonHost},
		"another local port":     {subprotocol(map[string]string{"Authorization": b.token(nil), "host": "127.0.0.1:1"}), "BadRequestException", eventsdev.ReasonHost},
		"no host":                {subprotocol(map[string]string{"Authorization": b.token(nil)}), "BadRequestException", eventsdev.ReasonHost},
	} {
		t.Run(what, func(t *testing.T) {
			offers := []string{"aws-appsync-event-ws"}
			if c.header != "" {
				offers = append(offers, c.header)
			}
			before := b.refusals(c.reason)
			s := b.dial(offers...)
			s.send(`{"type":"connection_init"}`)
			s.wantError("connection_error", "", c.kind)
			s.wantClose(websocket.StatusPolicyViolation)
			if got := b.refusals(c.reason) - before; got != 1 {
				t.Errorf("%s was counted %d times", c.reason, got)
			}
		})
	}
}

func TestTwoHeadersAreRefused(t *testing.T) {
	b := start(t)
	c := b.dial("aws-appsync-event-ws", b.header(b.token(nil)), b.header(b.token(nil)))
	c.send(`{"type":"connection_init"}`)
	c.wantError("connection_error", "", "BadRequestException")
}

func TestWithoutTheEventProtocolThereIsNoUpgrade(t *testing.T) {
	b := start(t)
	for _, offers := range [][]string{nil, {"graphql-ws"}, {b.header(b.token(nil))}} {
		_, res, err := websocket.Dial(t.Context(), b.s.RealtimeURL(), &websocket.DialOptions{Subprotocols: offers})
		if err == nil || res == nil || res.StatusCode != http.StatusBadRequest {
			t.Errorf("%v: got %v, %v", offers, res, err)
		}
	}
	if got := b.s.Stats().Connected; got != 0 {
		t.Errorf("%d sockets", got)
	}
}

func TestEveryOriginMayOpenASocket(t *testing.T) {
	b := start(t)
	ws, _, err := websocket.Dial(t.Context(), b.s.RealtimeURL(), &websocket.DialOptions{
		Subprotocols: []string{"aws-appsync-event-ws"}, HTTPHeader: http.Header{"Origin": {"https://app.example"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = ws.CloseNow()
}

// A public name that resolves to 127.0.0.1 must not make this server that name's.
func TestOtherHostNamesAreRefused(t *testing.T) {
	b := start(t)
	_, res, err := websocket.Dial(t.Context(), b.s.RealtimeURL(), &websocket.DialOptions{
		Subprotocols: []string{"aws-appsync-event-ws"}, Host: "attacker.example",
	})
	if err == nil || res == nil || res.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("got %v, %v", res, err)
	}
}

func TestConnectionInitComesFirstAndOnce(t *testing.T) {
	b := start(t)
	c := b.dial()
	c.send(b.operation("subscribe", "s1", "default/a", b.token(nil)))
	c.wantError("error", "s1", "BadRequestException")
	c.send(`{"type":"connection_init"}`)
	c.want(`{"type":"connection_ack","connectionTimeoutMs":300000}`)
	c.want(`{"type":"ka"}`)
	c.send(`{"type":"connection_init"}`)
	c.wantError("error", "", "BadRequestException")
	if got := b.refusals(eventsdev.ReasonNoInit); got != 2 {
		t.Errorf("counted %d", got)
	}
}

func TestASocketWithoutConnectionInitIsClosed(t *testing.T) {
	b := start(t, func(c *eventsdev.Config) { c.InitTimeout = time.Millisecond })
	b.dial().wantClose(websocket.StatusPolicyViolation)
	if got := b.refusals(eventsdev.ReasonNoInit); got != 1 {
		t.Errorf("counted %d", got)
	}
}

func TestASocketThatGreetedOutlivesTheInitTimeout(t *testing.T) {
	b := start(t, func(c *eventsdev.Config) {
		c.InitTimeout = 300 * time.Millisecond
		c.KeepAlive = 100 * time.Millisecond
	})
	c := b.connect()
	for range 6 {
		c.want(`{"type":"ka"}`)
	}
}

func TestASocketIsClosedAtTheEndOfItsLife(t *testing.T) {
	b := start(t, func(c *eventsdev.Config) { c.ConnectionLife = 200 * time.Millisecond })
	c := b.connect()
	c.wantClose(websocket.StatusGoingAway)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := b.s.WaitConnections(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if got := b.s.Stats(); got.Expired != 1 || got.Connections != 0 || got.Connected != 1 {
		t.Errorf("got %+v", got)
	}
}
