package handlers

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"vestibule/session"
)

const (
	// signOfLife is how often something is sent, so that nothing between takes the stream for dead: the least patient of what commonly
	// stands there, Next.js's rewrites, waits for 30 s.
	signOfLife = 20 * time.Second
	// lookAgain is about how often a stream asks whether its session still stands. Endings are told, and where the feed may have lost some,
	// session.Manager looks by itself: what is left is for what nobody noticed, and each question is one to the store.
	lookAgain = 10 * time.Minute
	// streamPatience bounds each write: who reads nothing is cut. It is longer than signOfLife, so the deadline never lies in the past.
	streamPatience = 30 * time.Second
	// Browsers connect anew after between leastRetry and twice that more, so that they do not all come at once after a restart.
	leastRetry = 1000 // ms
)

// untransformed is for what stands between: what compresses an answer (Next.js's rewrites, for one) waits with it until a block is full, and
// no-transform forbids that (RFC 9111, section 5.2.2.6).
var untransformed = []string{"no-store, no-transform"}

// errStreams means that as many event streams are open as this process holds.
var errStreams = errors.New("too many event streams are open")

// Events tells the browser what becomes of its session for as long as it listens (GET {auth}/events), in the form of Server-Sent Events
// (WHATWG HTML, section 9.2). It neither refreshes nor slides the session, nor takes one over from Amplify's adapter.
func (h *Handlers) Events(x *Exchange) error {
	ctx := x.Request().Context()
	s, err := h.c.Sessions.Load(ctx, x.cookies())
	if err != nil {
		h.noSession(x, err)
		return err
	}
	x.Session = "live"
	if x.Request().Method == http.MethodHead {
		x.beginEvents()
		return nil
	}
	st, ok := h.streams.open(s.ID)
	if !ok {
		return errStreams
	}
	defer h.streams.close(st)
	defer h.c.Sessions.Watch(s, st.watcher())()
	// It may have ended while nobody watched it yet.
	if err := h.c.Sessions.Alive(ctx, s); errors.Is(err, session.ErrEnded) {
		h.noSession(x, err)
		return err
	}
	x.beginEvents()
	e := events{x: x, control: http.NewResponseController(x.Response().Writer)}
	if e.send(":\nretry: "+strconv.Itoa(leastRetry+rand.IntN(2*leastRetry))+"\n\n") == nil {
		h.tell(e, s, st)
	}
	return nil // who went away, or did not read, is nobody's fault
}

// tell sends until the session, the stream or the browser's patience ends.
func (h *Handlers) tell(e events, s *session.Session, st *stream) {
	end, look := h.c.Sessions.Expires(s), h.nextLook()
	beat := time.NewTimer(h.untilBeat(end))
	defer beat.Stop()
	for {
		var err error
		select {
		case <-e.x.Request().Context().Done():
			return
		case <-st.over:
			return
		case why := <-st.ended:
			e.end(why)
			return
		case expires := <-st.renewed:
			err = e.send("event: session.renewed\ndata: {\"expiresAt\":" + strconv.FormatInt(expires.Unix(), 10) + "}\n\n")
		case <-beat.C:
			now := h.c.Now()
			late := !now.Before(end)
			if late || !now.Before(look) {
				if h.isOver(e, s) || late { // late, it ends even while the store says nothing
					return
				}
				look = h.nextLook()
			}
			err = e.send(":\n\n")
			beat.Reset(h.untilBeat(end))
		}
		if err != nil {
			return
		}
	}
}

// untilBeat is when to say something again: at the end of the session's time at the latest.
func (h *Handlers) untilBeat(end time.Time) time.Duration {
	return min(h.c.Beat, max(end.Sub(h.c.Now()), 10*time.Millisecond))
}

// nextLook is when to ask again.
func (h *Handlers) nextLook() time.Time { return h.c.Now().Add(h.untilLook()) }

// untilLook is how long to wait until then, each stream and socket for a time of its own: many begin at once, after a restart for instance.
func (h *Handlers) untilLook() time.Duration { return h.c.Look/2 + rand.N(h.c.Look) }

// ended asks, because word of an ending can get lost; nil means that the session stands, also while nobody can say. The form of the
// session that is asked about may have fallen behind the one that the browser holds: certain means that not only that form is over. Where
// idleness is an answer at all, in server mode, it is that of the one form there is.
func (h *Handlers) ended(ctx context.Context, s *session.Session) (ended *session.Ended, certain bool) {
	if !errors.As(h.c.Sessions.Alive(ctx, s), &ended) {
		return nil, false
	}
	return ended, ended.Reason != session.ReasonRefused
}

// isOver asks. Where only the form that the stream began with is known to be over, the stream just ends, and the browser comes back with
// its newest.
func (h *Handlers) isOver(e events, s *session.Session) bool {
	ended, certain := h.ended(e.x.Request().Context(), s)
	if certain {
		e.end(ended.Reason)
	}
	return ended != nil
}

// events writes an event stream.
type events struct {
	x       *Exchange
	control *http.ResponseController
}

// beginEvents sends the head of the answer.
func (x *Exchange) beginEvents() {
	header := x.Response().Header()
	header["Content-Type"] = []string{"text/event-stream"}
	header["Cache-Control"] = untransformed
	header["Cross-Origin-Resource-Policy"] = sameOrigin
	header["X-Accel-Buffering"] = []string{"no"} // nginx would keep events until a buffer is full
	x.Response().WriteHeader(http.StatusOK)
}

func (e events) send(text string) error {
	_ = e.control.SetWriteDeadline(time.Now().Add(streamPatience)) // not every writer has one: tests
	if _, err := io.WriteString(e.x.Response(), text); err != nil {
		return err
	}
	return e.control.Flush()
}

// end tells that the session is over. It says so with the last bytes of the answer.
func (e events) end(why session.Reason) {
	e.x.Reason = string(why)
	_ = e.send("event: session.ended\ndata: {\"reason\":\"" + reasonForBrowsers(why) + "\"}\n\n") // the browser may be gone
}

// reasonForBrowsers is the reason in the few words that docs/endpoints.md promises: the person ended it, here or elsewhere; its time is
// over; the browser has another session now; somebody or something else ended it.
func reasonForBrowsers(why session.Reason) string {
	switch why {
	case session.ReasonSignedOut, session.ReasonEverywhere, session.ReasonElsewhere:
		return "signed_out"
	case session.ReasonExpired, session.ReasonIdle, session.ReasonNoRefresh, session.ReasonGone:
		return "expired"
	case session.ReasonReplaced:
		return "replaced"
	}
	return "revoked"
}
