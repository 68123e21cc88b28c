package secret_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"vestibule/secret"
)

// What start would refuse must not come in by the back door, when the process reads it again.
func TestAValueThatBreaksItsRuleIsPassedOver(t *testing.T) {
	rule := func(text []byte) error {
		if len(text) < 4 {
			return errors.New("is too short")
		}
		return nil
	}
	var log bytes.Buffer
	failures := 0
	v := &vault{text: "good"}
	r := secret.NewResolver(secret.Config{
		ReadFile: v.read, Logger: slog.New(slog.NewTextHandler(&log, nil)), OnFailure: func(string) { failures++ },
	})
	value := resolve(t, r, "file:/s")
	if err := value.Require(rule); err != nil {
		t.Fatal(err)
	}
	v.set("bad", nil)
	if err := value.Refresh(t.Context()); err == nil || string(value.Bytes()) != "good" || failures != 1 {
		t.Errorf("got %v, %q and %d failures, want an error, the last good value, and one", err, value.Bytes(), failures)
	}
	if text := log.String(); !strings.Contains(text, "file:/s") || !strings.Contains(text, "the new value is too short") || strings.Contains(text, "bad") {
		t.Errorf("the log says %q, want the reference and the rule, and nothing of the value", text)
	}
	if err := secret.New([]byte("bad")).Require(rule); err == nil || err.Error() != "is too short" {
		t.Errorf("a value that breaks the rule already: got %v, want what is wrong with it", err)
	}
	if err := (secret.Value{}).Require(rule); err != nil {
		t.Errorf("a value that is not set: got %v, want nothing to check", err)
	}
}
