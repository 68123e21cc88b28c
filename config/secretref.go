package config

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted stands wherever a reference would have been printed.
const redacted = "[redacted]"

// SecretRef is a secret as configured: the secret itself, or a reference to it (env:,
// file:, awssm:). Because it may be the secret, every way of printing or encoding it gives
// "[redacted]". Keep it in exported fields: fmt cannot ask an unexported one.
type SecretRef string

// Reference returns the raw text, for secret.Resolver.
func (s SecretRef) Reference() string { return string(s) }

// String implements fmt.Stringer, redacted.
func (SecretRef) String() string { return redacted }

// GoString implements fmt.GoStringer, redacted.
func (SecretRef) GoString() string { return redacted }

// Format implements fmt.Formatter: every verb is redacted.
func (SecretRef) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalJSON implements json.Marshaler, redacted.
func (SecretRef) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText implements encoding.TextMarshaler, redacted.
func (SecretRef) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalYAML implements the marshaler that YAML libraries look for, redacted.
func (SecretRef) MarshalYAML() (any, error) { return redacted, nil }

// LogValue implements slog.LogValuer, redacted.
func (SecretRef) LogValue() slog.Value { return slog.StringValue(redacted) }
