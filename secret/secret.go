// Package secret holds what must not be seen: values that redact themselves, the
// references they are read from, and the ring of keys that seals sessions.
//
// It owns reading (literal, env:, file:, awssm:), keeping a value fresh while the
// process runs, and decoding keys. It refuses to print a value, to start without one,
// and to give up a good value for a bad one.
//
// The flow: NewResolver → Resolve(reference) → Value → Bytes at the moment of use;
// Resolver.Run keeps values fresh; NewRing makes sealing keys of them.
//
// Read this file first, then resolver.go and ring.go.
package secret

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
)

// redacted stands wherever a value would have been printed.
const redacted = "[redacted]"

// Value is a secret that redacts itself: every way of printing or encoding it gives
// "[redacted]". The zero Value is not set. A Value is safe for concurrent use and cheap
// to copy; copies follow the same reference.
type Value struct {
	// A pointer, because fmt cannot call methods of unexported fields: a struct that
	// keeps a Value in one is then printed with an address in place of the bytes.
	src *source
}

// New makes a Value of bytes that never change. No bytes make a Value that is not set.
func New(literal []byte) Value {
	if len(literal) == 0 {
		return Value{}
	}
	s := &source{}
	s.held.Store(&held{current: bytes.Clone(literal)})
	return Value{src: s}
}

// IsSet reports whether there are bytes.
func (v Value) IsSet() bool { return v.src != nil }

// Bytes returns a copy of the current bytes, nil when the Value is not set. Ask at each
// use and do not keep the answer: a Value that came from a reference follows it.
func (v Value) Bytes() []byte {
	if v.src == nil {
		return nil
	}
	return bytes.Clone(v.src.held.Load().current)
}

// Refresh reads the reference afresh, for a caller that has just seen the value refused.
// Callers share one read. Over the network, and of a file that could not be read, reads are
// at least 10 s apart: a call that comes sooner gets the last outcome. A file is otherwise read
// for each call, anew where a read was under way. When reading fails, or hangs for 11 s, the
// last good bytes stay and the error says why.
// What cannot change (a literal, env:, a Value that is not set) is left alone. A caller
// whose ctx ends stops waiting; the read goes on for the others.
func (v Value) Refresh(ctx context.Context) error {
	if v.src == nil || v.src.fetch == nil {
		return nil
	}
	return v.src.refresh(ctx)
}

// Require makes a rule of what a good value is: its error, which must not quote the value, says what is wrong ("is too short"). Require
// answers with that of the bytes there are. From then on a refresh that brings others which break the rule counts as failed, and the
// last good ones stay. A Value that is not set has nothing to check.
func (v Value) Require(rule func([]byte) error) error {
	if v.src == nil {
		return nil
	}
	v.src.guard(rule) // before the check below, so that no refresh slips between
	return rule(v.Bytes())
}

// String implements fmt.Stringer, redacted.
func (Value) String() string { return redacted }

// GoString implements fmt.GoStringer, redacted.
func (Value) GoString() string { return redacted }

// Format implements fmt.Formatter: every verb is redacted.
func (Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalJSON implements json.Marshaler, redacted.
func (Value) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText implements encoding.TextMarshaler, redacted.
func (Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalYAML implements the marshaler that YAML libraries look for, redacted.
func (Value) MarshalYAML() (any, error) { return redacted, nil }

// LogValue implements slog.LogValuer, redacted.
func (Value) LogValue() slog.Value { return slog.StringValue(redacted) }
