package machine

import (
	"crypto/sha256"
	"testing"
)

// What is left in memory of a named client's own key is a hash that nobody can compare with a guess: its key is the process's alone.
func TestTheMarkOfASecretIsKeyed(t *testing.T) {
	secret := []byte("sixteen bytes and more")
	one, two := newMemoryKeys(), newMemoryKeys()
	plain := sha256.Sum256(secret)
	if one.mark(secret) == two.mark(secret) || one.mark(secret) == [8]byte(plain[:8]) {
		t.Error("the mark of a secret is the same in every process")
	}
	if first := one.mark(secret); first != one.mark(secret) || first == one.mark([]byte("another secret of a client")) {
		t.Error("the mark does not tell one secret from another")
	}
}
