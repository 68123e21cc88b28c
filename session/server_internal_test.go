package session

import (
	"bytes"
	"testing"
	"time"
)

func FuzzNews(f *testing.F) {
	at := time.Unix(1_790_000_000, 0)
	for _, n := range []news{
		endedNews(ID{1}, 7, ReasonSignedOut), groupNews(group{kind: groupSubject, hash: [16]byte{2}}, deadline{reason: ReasonRevoked, until: at}),
		renewedNews(&Session{ID: ID{3}, Generation: 9, Tokens: Tokens{Expires: at}}),
	} {
		f.Add(n.bytes())
	}
	f.Add([]byte{newsVersion, 'E'})
	f.Fuzz(func(t *testing.T, b []byte) {
		n, ok := readNews(b)
		if !ok {
			return
		}
		again, ok := readNews(n.bytes())
		if !ok || again != n {
			t.Errorf("%v became %v", n, again)
		}
	})
}

func FuzzMembers(f *testing.F) {
	f.Add(packMembers([]member{{id: ID{1}, started: time.Unix(1_790_000_000, 0), device: "Firefox on Windows"}, {id: ID{2}}}))
	f.Add([]byte{storedVersion, 1, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		all, ok := unpackMembers(b)
		if !ok {
			return
		}
		again, ok := unpackMembers(packMembers(all))
		if !ok || len(again) != len(all) || !bytes.Equal(packMembers(again), packMembers(all)) {
			t.Errorf("%v became %v", all, again)
		}
	})
}

func FuzzTicket(f *testing.F) {
	f.Add(newTicket().packed())
	f.Add([]byte{formatVersion})
	f.Fuzz(func(t *testing.T, b []byte) {
		if ticket, ok := readTicket(b); ok && !bytes.Equal(ticket.packed(), b) {
			t.Errorf("%x became %x", b, ticket.packed())
		}
	})
}
