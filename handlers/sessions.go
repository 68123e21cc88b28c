package handlers

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"vestibule/session"
	"vestibule/views"
)

const (
	maxEnded   = 200      // sessions that one request may end by their names; the list gives a hundred
	listedID   = 22       // characters of a session's name in the list
	endOthers  = "others" // in place of a name: all but the one that asks
	sessionsAt = "sessions"
)

// ListsSessions says whether people can see their own sessions: in server mode, where somebody knows of them.
func (h *Handlers) ListsSessions() bool { return h.c.ListSessions }

// Sessions shows where the person is signed in (GET {auth}/sessions), and ends what they choose there (POST), as a page or as JSON. It
// neither refreshes nor slides.
func (h *Handlers) Sessions(x *Exchange) error {
	s, err := h.load(x)
	if err == nil && x.Request().Method == http.MethodPost {
		return h.endSessions(x, s)
	}
	var all []session.Listed
	if err == nil {
		all, err = h.c.Sessions.Sessions(x.Request().Context(), s)
	}
	switch status, _, _ := answerTo(err); {
	case err == nil && x.Form == FormPage:
		return h.sessionsPage(x, s, all)
	case err == nil:
		return x.sessionsJSON(all)
	case x.Form == FormPage && status == http.StatusUnauthorized:
		x.Err = err
		return x.redirect(http.StatusSeeOther, h.withReturnTo(h.Path("/login"), h.AuthPath(sessionsAt)))
	}
	return h.fail(x, err, h.AuthPath(sessionsAt))
}

func (x *Exchange) sessionsJSON(all []session.Listed) error {
	type one struct {
		ID         string `json:"id"`
		Device     string `json:"device"`
		StartedAt  int64  `json:"startedAt"`
		LastSeenAt int64  `json:"lastSeenAt"`
		Current    bool   `json:"current"`
	}
	out := make([]one, 0, len(all))
	for _, l := range all {
		out = append(out, one{ID: l.ID, Device: l.Device, StartedAt: l.Started.Unix(), LastSeenAt: l.Seen.Unix(), Current: l.Current})
	}
	body, err := json.Marshal(map[string][]one{"sessions": out})
	if err != nil {
		return err
	}
	return x.json(http.StatusOK, body)
}

func (h *Handlers) sessionsPage(x *Exchange, s *session.Session, all []session.Listed) error {
	lang := h.language(x)
	d := views.Sessions{
		SignedInAs: displayName(s), Done: views.Done(x.QueryParam("done")),
		Action:     withLanguage(h.AuthPath(sessionsAt), x.QueryParam("lang"), lang),
		SignOutURL: withLanguage(h.AuthPath("sign-out"), x.QueryParam("lang"), lang), HomeURL: h.Path("/"),
		Languages: h.c.Views.LanguageLinks(lang, h.AuthPath(sessionsAt)),
	}
	for _, l := range all {
		row := views.Device{ID: l.ID, Started: l.Started, Seen: l.Seen, Current: l.Current}
		row.Browser, row.System = deviceParts(l.Device)
		d.List = append(d.List, row)
	}
	return h.page(x, http.StatusOK, h.signOutPolicy(), h.c.Views.Sessions(lang, d))
}

// endSessions ends what the form names. A name that is not on the list is passed over: that session is over already, or nobody's
// business here.
func (h *Handlers) endSessions(x *Exchange, s *session.Session) error {
	ids, err := x.chosen()
	if err != nil {
		return err
	}
	// What was asked for is done, also when the browser does not wait for the answer.
	ctx, done := context.WithoutCancel(x.Request().Context()), views.DoneOne
	others := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id == s.ID.String() })
	if ids[0] == endOthers {
		done, err = views.DoneOthers, h.c.Sessions.EndOthers(ctx, s)
	} else {
		err = h.c.Sessions.EndListed(ctx, s, others...)
	}
	if err != nil {
		return h.fail(x, err, h.AuthPath(sessionsAt))
	}
	x.Reason = string(session.ReasonElsewhere)
	to := withLanguage(h.AuthPath(sessionsAt)+"?done="+string(done), x.QueryParam("lang"), h.language(x)) + "#done"
	if len(others) < len(ids) {
		x.Session, to = "ended", withLanguage(h.AuthPath("sign-out-callback"), x.QueryParam("lang"), h.language(x))
		h.c.Sessions.End(ctx, s)
		x.setCookies(h.c.Sessions.Clear(x.cookies()))
	}
	if x.Form == FormPage {
		return x.redirect(http.StatusSeeOther, to)
	}
	return x.empty(http.StatusNoContent)
}

// chosen reads the form: either "others" alone, or names as the list gives them.
func (x *Exchange) chosen() ([]string, error) {
	form, err := x.form()
	if err != nil {
		return nil, err
	}
	ids := form["end"]
	if len(ids) == 1 && ids[0] == endOthers {
		return ids, nil
	}
	if len(ids) == 0 || len(ids) > maxEnded {
		return nil, ErrBadRequest
	}
	for _, id := range ids {
		if len(id) != listedID || strings.ContainsFunc(id, notBase64URL) {
			return nil, ErrBadRequest
		}
	}
	return ids, nil
}

func notBase64URL(r rune) bool {
	return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '-' && r != '_'
}
