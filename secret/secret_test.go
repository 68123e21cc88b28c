package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"vestibule/secret"
)

const plain = "hunter2hunter2"

type holder struct {
	Open   secret.Value
	hidden secret.Value
	behind *secret.Value
	many   []secret.Value
}

func TestValueIsRedactedHoweverItIsPrinted(t *testing.T) {
	v := secret.New([]byte(plain))
	h := holder{Open: v, hidden: v, behind: &v, many: []secret.Value{v}}
	verbs := []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%t", "%z"}
	for _, verb := range verbs {
		for _, subject := range []any{v, &v, h, &h, []secret.Value{v}, map[string]secret.Value{"k": v}} {
			got := fmt.Sprintf(verb, subject)
			mustNotLeak(t, verb, got)
		}
		if got := fmt.Sprintf(verb, v); verb != "%p" && got != "[redacted]" {
			t.Errorf("%s: got %q, want [redacted]", verb, got)
		}
	}
}

func TestValueIsRedactedHoweverItIsEncoded(t *testing.T) {
	v := secret.New([]byte(plain))
	h := holder{Open: v, hidden: v}
	asJSON, err := json.Marshal(h)
	if err != nil || !strings.Contains(string(asJSON), `"[redacted]"`) {
		t.Errorf("JSON: got %s, %v", asJSON, err)
	}
	mustNotLeak(t, "JSON", string(asJSON))
	asYAML, err := yaml.Marshal(h)
	if err != nil || !strings.Contains(string(asYAML), "[redacted]") {
		t.Errorf("YAML: got %s, %v", asYAML, err)
	}
	mustNotLeak(t, "YAML", string(asYAML))
	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(handler).Info("x", "secret", v, "holder", h, "pointer", &h)
	}
	mustNotLeak(t, "slog", log.String())
	asText, err := v.MarshalText()
	if err != nil || string(asText) != "[redacted]" || v.String() != "[redacted]" || v.GoString() != "[redacted]" {
		t.Errorf("text: got %q %q %q, %v", asText, v.String(), v.GoString(), err)
	}
}

func mustNotLeak(t *testing.T, where, text string) {
	t.Helper()
	hexed := fmt.Sprintf("%x", plain)
	listed := strings.Trim(fmt.Sprint([]byte(plain)), "[]")
	for _, form := range []string{plain, hexed, strings.ToUpper(hexed), listed} {
		if strings.Contains(text, form) {
			t.Errorf("%s leaks the value: %s", where, text)
		}
	}
}

func TestZeroValueIsNotSet(t *testing.T) {
	var v secret.Value
	if v.IsSet() || v.Bytes() != nil {
		t.Errorf("got set %v, bytes %q, want neither", v.IsSet(), v.Bytes())
	}
	if err := v.Refresh(t.Context()); err != nil {
		t.Errorf("Refresh: %v", err)
	}
	if got := fmt.Sprint(v); got != "[redacted]" {
		t.Errorf("printed %q", got)
	}
	if secret.New(nil).IsSet() {
		t.Error("a Value of no bytes is set")
	}
}

func TestBytesAreACopy(t *testing.T) {
	from := []byte(plain)
	v := secret.New(from)
	from[0] = 'X'
	v.Bytes()[1] = 'X'
	if got := string(v.Bytes()); got != plain {
		t.Errorf("got %q, want %q", got, plain)
	}
}
