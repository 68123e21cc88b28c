package session

import (
	"encoding/binary"
	"net/http"
	"time"
)

// The note that a sign-out leaves begins with its version. Where no language was chosen the first serves: replicas that do not know the
// second read it.
const (
	leavingVersion     = 1 // time, returnTo
	leavingLangVersion = 2 // time, language, returnTo
)

// Leave gives the cookie that remembers where a sign-out leads, and in which language the page at its end is; either may be "". Cognito's
// logout echoes no state, so the browser carries the note to the sign-out callback itself. It is good for PendingLife.
func (m *Manager) Leave(returnTo, lang string) ([]*http.Cookie, error) {
	if err := (Errand{ReturnTo: returnTo, Lang: lang}).check(); err != nil {
		return nil, err
	}
	version := byte(leavingVersion)
	if lang != "" {
		version = leavingLangVersion
	}
	plain := binary.AppendUvarint([]byte{version}, uint64(m.c.Now().Unix()))
	if lang != "" {
		plain = appendRun(plain, lang)
	}
	sealed, err := m.sealer.seal(m.leavingName(), append(plain, returnTo...))
	if err != nil {
		return nil, err
	}
	return []*http.Cookie{m.cookieAs(m.leavingName(), sealed, int(PendingLife/time.Second), http.SameSiteLaxMode)}, nil
}

// Left gives what Leave remembered, "" if there is nothing, and the cookies that delete the note.
func (m *Manager) Left(header []string) (returnTo, lang string, gone []*http.Cookie) {
	for _, b := range m.ours(header) {
		if b.name != m.leavingName() {
			continue
		}
		gone = []*http.Cookie{m.cookieAs(b.name, "", -1, http.SameSiteLaxMode)}
		plain, ok := m.sealer.open(b.name, b.value)
		if !ok || len(plain) < 2 || plain[0] != leavingVersion && plain[0] != leavingLangVersion {
			continue
		}
		r := &reader{b: plain[1:]}
		at, chosen := r.seconds(), ""
		if plain[0] == leavingLangVersion {
			chosen = string(r.run())
		}
		if !r.bad && m.c.Now().Before(time.Unix(at, 0).Add(PendingLife)) {
			return string(r.b), chosen, gone
		}
	}
	return "", "", gone
}

func (m *Manager) leavingName() string { return m.c.CookieName + ".o" }
