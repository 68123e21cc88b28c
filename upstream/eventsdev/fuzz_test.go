package eventsdev

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
)

func FuzzFrame(f *testing.F) {
	for _, seed := range []string{
		`{"type":"connection_init"}`, `{"id":"a","type":"unsubscribe"}`, `null`, `[]`, `{`, `{"type":1}`,
		`{"id":"1","channel":"default/a","authorization":{"Authorization":"t","host":"h"},"type":"subscribe","payload":{}}`,
		`{"id":"1","type":"publish","channel":"/default/a/","events":["{\"a\":1}","2"],"authorization":{"x-api-key":"k"}}`,
		`{"id":"1","type":"publish","events":["\ud800"]}`, `{"type":"publish","events":[null]}`, `{"authorization":null,"type":"x"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, why := parseFrame(data)
		if why == nil && (got.kind == "" || !json.Valid(data)) {
			t.Errorf("%q is taken for a frame", data)
		}
		events, why := parseEvents(got.events)
		if why == nil && (len(events) < 1 || len(events) > maxEvents) {
			t.Errorf("%d events", len(events))
		}
		for _, event := range events {
			var sent struct{ Type, ID, Event string }
			frame := dataFrame("id", event)
			if err := json.Unmarshal(frame, &sent); err != nil || sent.Type != "data" || sent.ID != "id" || !json.Valid([]byte(sent.Event)) {
				t.Errorf("%q became %q", data, frame)
			}
		}
	})
}

func FuzzHandshakeHeader(f *testing.F) {
	for _, seed := range []string{`{"Authorization":"t","host":"h"}`, `{"AUTHORIZATION":"t"}`, `{}`, `[]`, `{"host":1}`, `{"host":null}`} {
		f.Add(base64.RawURLEncoding.EncodeToString([]byte(seed)))
		f.Add(base64.URLEncoding.EncodeToString([]byte(seed)))
	}
	f.Add("===")
	f.Add("e30\n")
	f.Fuzz(func(t *testing.T, encoded string) {
		got, ok := decodeHeader(encoded)
		if !ok {
			return
		}
		data, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(encoded, "="))
		if err != nil || !json.Valid(data) {
			t.Errorf("%q is taken for a header: %+v", encoded, got)
		}
	})
}

func FuzzChannel(f *testing.F) {
	for _, seed := range []string{"default", "/default/a/", "default/*", "/*", "*", "//", "", "a/b/c/d/e", "a/b/c/d/e/f", "a/-b", "a/é", "a/*/b", "a/**"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		c, ok := parseChannel(raw)
		if !ok {
			return
		}
		canonical := c.path
		if c.under {
			canonical += "/*"
		}
		if again, ok := parseChannel("/" + canonical + "/"); !ok && len(canonical) < maxChannelLength-2 || ok && again != c {
			t.Errorf("%q is %+v, and its own form %+v", raw, c, again)
		}
		if strings.Count(canonical, "/") > maxSegments-1 || !isSegment(c.namespace()) {
			t.Errorf("%q is taken for a channel", raw)
		}
	})
}
