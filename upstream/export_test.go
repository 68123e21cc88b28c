package upstream

import (
	"io"
	"net"
	"time"
)

// PatientConn is how the application is written to.
func PatientConn(conn net.Conn) net.Conn { return newPatientConn(conn) }

// Hurry shortens how long browsers are waited for.
func (a *App) Hurry(patience, farewell time.Duration) {
	a.patience, a.linger, a.farewell = patience, patience, farewell
}

// CookieName is for fuzzing.
func CookieName(line string) string { return cookieName(line) }

// Boundaries gives where frames end in a stream that comes in pieces.
func Boundaries(stream []byte, piece int) (ends []int) {
	f := frames{}
	for at := 0; at < len(stream); {
		end := min(at+piece, len(stream))
		for at < end {
			at += f.next(stream[at:end])
			if f.between() {
				ends = append(ends, at)
			}
		}
	}
	return ends
}

// Leave is the first step of Drain alone.
func (a *App) Leave() {
	for _, l := range a.open.leave() {
		l.leave(restarting)
	}
}

// LeavingSocket is the application's side of a WebSocket that was told to leave.
func LeavingSocket(app io.ReadWriteCloser) io.ReadWriteCloser {
	s := &socket{app: app}
	s.leave(restarting)
	return s
}
