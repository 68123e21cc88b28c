package eventsdev_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"vestibule/upstream/eventsdev"
)

func TestPostAnswersWhatWasPublished(t *testing.T) {
	b := start(t)
	c := b.connect()
	b.subscribed(c, "s", "default/*")
	status, body := b.post(b.token(nil), publishBody("/default/chat", `{"a":1}`, `"two"`))
	want := regexp.MustCompile(`^\{"failed":\[\],"successful":\[\{"identifier":"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}","index":0\},\{"identifier":"[0-9a-f-]{36}","index":1\}\]\}$`)
	if status != http.StatusOK || !want.MatchString(body) {
		t.Errorf("got %d %s", status, body)
	}
	c.want(`{"type":"data","id":"s","event":"{\"a\":1}"}`)
	c.want(`{"type":"data","id":"s","event":"\"two\""}`)
}

func TestPostRefusesWhatASocketRefuses(t *testing.T) {
	b := start(t)
	for what, c := range map[string]struct {
		body   string
		status int
		reason eventsdev.Reason
	}{
		"nothing":              {"", http.StatusBadRequest, eventsdev.ReasonFrame},
		"not JSON":             {"channel=default", http.StatusBadRequest, eventsdev.ReasonFrame},
		"two values":           {publishBody("default/a", "1") + "{}", http.StatusBadRequest, eventsdev.ReasonFrame},
		"a channel of numbers": {`{"channel":1,"events":["1"]}`, http.StatusBadRequest, eventsdev.ReasonFrame},
		"no channel":           {`{"events":["1"]}`, http.StatusBadRequest, eventsdev.ReasonChannel},
		"a wildcard":           {publishBody("default/*", "1"), http.StatusBadRequest, eventsdev.ReasonChannel},
		"an unknown namespace": {publishBody("chat", "1"), http.StatusBadRequest, eventsdev.ReasonNamespace},
		"events in no list":    {`{"channel":"default","events":"1"}`, http.StatusBadRequest, eventsdev.ReasonEvents},
		"six events":           {publishBody("default", "1", "2", "3", "4", "5", "6"), http.StatusBadRequest, eventsdev.ReasonEvents},
		"a large event":        {publishBody("default", full(1, 240_001)...), http.StatusRequestEntityTooLarge, eventsdev.ReasonTooLarge},
		"five full events":     {publishBody("default", full(5, 240_000)...), http.StatusRequestEntityTooLarge, eventsdev.ReasonTooLarge},
		"a large body":         {strings.Repeat(" ", 2<<20), http.StatusRequestEntityTooLarge, eventsdev.ReasonTooLarge},
	} {
		before := b.refusals(c.reason)
		status, body := b.post(b.token(nil), c.body)
		if status != c.status || !strings.HasPrefix(body, `{"errors":[{"errorType":"BadRequestException","message":"`) {
			t.Errorf("%s: got %d %s", what, status, body)
		}
		if b.refusals(c.reason)-before != 1 {
			t.Errorf("%s: not counted as %s: %v", what, c.reason, b.s.Stats().Refusals)
		}
	}
}

func TestAPageOfAnyOriginMayPost(t *testing.T) {
	b := start(t)
	const asked = "authorization,content-type,x-amz-date,x-amz-user-agent"
	res := b.fetch(http.MethodOptions, "/event", http.Header{
		"Origin": {"http://localhost:3000"}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {asked},
	})
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": asked, "Access-Control-Allow-Methods": "POST, OPTIONS",
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if res.StatusCode != http.StatusOK || res.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("got %d %v", res.StatusCode, res.Header)
	}
	refused := b.fetch(http.MethodPost, "/event", http.Header{"Origin": {"http://localhost:3000"}})
	if refused.StatusCode != http.StatusUnauthorized || refused.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("a refusal cannot be read: %d %v", refused.StatusCode, refused.Header)
	}
}

func TestAPreflightRepeatsNothingButHeaderNames(t *testing.T) {
	b := start(t)
	for _, asked := range []string{"", "a b", "x;y", "<script>", strings.Repeat("x", 1025)} {
		res := b.fetch(http.MethodOptions, "/event", http.Header{"Access-Control-Request-Headers": {asked}})
		if got := res.Header.Get("Access-Control-Allow-Headers"); got != "" {
			t.Errorf("%q: got %q", asked, got)
		}
	}
}

func TestPublishingIsAllThatHTTPDoes(t *testing.T) {
	b := start(t)
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		if res := b.fetch(method, "/event", nil); res.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: got %d", method, res.StatusCode)
		}
	}
	if res := b.fetch(http.MethodGet, "/event/realtime", nil); res.StatusCode != http.StatusBadRequest {
		t.Errorf("no upgrade: got %d", res.StatusCode)
	}
}
