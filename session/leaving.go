package session

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"time"
)

// leavingVersion is the first byte of the note that a sign-out leaves.
const leavingVersion = 1

// Leave gives the cookie that remembers where a sign-out leads: Cognito's logout echoes no state, so the browser carries the
// note to the sign-out callback itself. It is good for PendingLife.
func (m *Manager) Leave(returnTo string) ([]*http.Cookie, error) {
	if len(returnTo) > MaxReturnTo {
		return nil, fmt.Errorf("session: returnTo of %d bytes, want at most %d", len(returnTo), MaxReturnTo)
	}
	plain := binary.AppendUvarint([]byte{leavingVersion}, uint64(m.c.Now().Unix()))
	sealed, err := m.sealer.seal(m.leavingName(), append(plain, returnTo...))
	if err != nil {
		return nil, err
	}
	return []*http.Cookie{m.cookieAs(m.leavingName(), sealed, int(PendingLife/time.Second), http.SameSiteLaxMode)}, nil
}

// Left gives the place that Leave remembered, "" if there is none, and the cookies that delete the note.
func (m *Manager) Left(header []string) (returnTo string, gone []*http.Cookie) {
	for _, b := range m.ours(header) {
		if b.name != m.leavingName() {
			continue
		}
		gone = []*http.Cookie{m.cookieAs(b.name, "", -1, http.SameSiteLaxMode)}
		plain, ok := m.sealer.open(b.name, b.value)
		if !ok || len(plain) < 2 || plain[0] != leavingVersion {
			continue
		}
		at, n := binary.Uvarint(plain[1:])
		if n > 0 && m.c.Now().Before(time.Unix(int64(at), 0).Add(PendingLife)) {
			return string(plain[1+n:]), gone
		}
	}
	return "", gone
}

func (m *Manager) leavingName() string { return m.c.CookieName + ".o" }
