package kv

import "fmt"

// CheckKeys refuses more keys than a GetMany takes with ErrInvalid. Stores call it first.
func CheckKeys(keys []string) error {
	if len(keys) > MaxKeys {
		return fmt.Errorf("%w: %d keys, want at most %d", ErrInvalid, len(keys), MaxKeys)
	}
	return nil
}

// CheckMessage refuses a message that is outside the limits of a Feed with ErrInvalid. Feeds call it first.
func CheckMessage(message []byte) error {
	if len(message) == 0 || len(message) > MaxMessage {
		return fmt.Errorf("%w: message of %d bytes, want 1 to %d", ErrInvalid, len(message), MaxMessage)
	}
	return nil
}
