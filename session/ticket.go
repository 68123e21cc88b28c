package session

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// ticket is what the browser holds in server mode, sealed in its cookie: one secret, from which the session's ID and the key of what
// the store keeps are both made. The store knows the ID and not the key; whoever reads the store opens nothing.
type ticket [32]byte

// ticketVersion is the first byte of the sealed ticket; a session in a cookie begins with formatVersion.
const ticketVersion = 2

func newTicket() (t ticket) {
	_, _ = rand.Read(t[:]) // never fails (crypto/rand)
	return t
}

func (t ticket) id() ID { return ID(t.derive("vestibule ticket session id v1", len(ID{}))) }

func (t ticket) cipher() (cipher.AEAD, error) {
	block, err := aes.NewCipher(t.derive("vestibule stored session v1", 32))
	if err != nil {
		return nil, fmt.Errorf("make the cipher of a stored session: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (t ticket) derive(purpose string, size int) []byte {
	key, err := hkdf.Key(sha256.New, t[:], nil, purpose, size)
	if err != nil {
		panic("session: " + err.Error()) // only a length that no hash can give makes it fail
	}
	return key
}

func (t ticket) packed() []byte { return append([]byte{ticketVersion}, t[:]...) }

func readTicket(plain []byte) (ticket, bool) {
	if len(plain) != 1+len(ticket{}) || plain[0] != ticketVersion {
		return ticket{}, false
	}
	return ticket(plain[1:]), true
}

// redeemAny redeems the first ticket that stands for a session. What the store says of one that stands for none counts if no other does.
func (m *Manager) redeemAny(ctx context.Context, values []string) (*Session, error) {
	fault := error(ErrUnreadable)
	for _, sealed := range values {
		if len(sealed) > cookieLimit {
			continue
		}
		plain, ok := m.sealer.open(m.c.CookieName, sealed)
		if !ok {
			continue
		}
		t, ok := readTicket(plain)
		if !ok {
			continue
		}
		m.c.Observe(Event{Kind: EventOpened})
		s, err := m.redeem(ctx, t)
		if errors.Is(err, ErrUnavailable) {
			m.usedInVain(t.id())
		}
		if err == nil || errors.Is(err, ErrUnavailable) {
			return s, err
		}
		fault = err
	}
	return nil, fault
}

// Abandon ends what the browser's ticket stands for when the store cannot say what that is: a sign-out holds here at once, and
// everywhere as soon as the store takes it. The refresh token cannot be read, so it is not revoked: the key to it leaves with the cookie.
// In cookie mode there is nothing to do that End does not do.
func (m *Manager) Abandon(ctx context.Context, header []string) {
	if m.c.Mode == ModeCookie {
		return
	}
	for _, sealed := range m.sealedValues(m.ours(header)) {
		plain, _ := m.sealer.open(m.c.CookieName, sealed)
		if t, ok := readTicket(plain); ok {
			_ = m.endListed(ctx, member{id: t.id(), started: m.c.Now()}, ReasonSignedOut) // the store is known to be down
		}
	}
}
