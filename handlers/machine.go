package handlers

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"vestibule/machine"
	"vestibule/upstream"
)

// ServesMachines says whether there is a cache of machine tokens to serve.
func (h *Handlers) ServesMachines() bool { return h.c.Machine != nil }

// MachineToken is the provider's token endpoint for services (POST /oauth2/token), answered from the cache where that may be. It reads
// no cookie, so there is nothing that another site's page could use.
func (h *Handlers) MachineToken(x *Exchange) error {
	err := h.machineToken(x)
	if err == nil || x.Response().Committed {
		return err
	}
	// No Cache-Status: an answer that is made here and was not stored has none (RFC 9211, section 2).
	x.Cache = string(h.c.Machine.Refused(err))
	var denied *machine.Denied
	if errors.As(err, &denied) {
		h.audit(x, "machine token denied", slog.String("client", denied.Client), slog.String("why", why(denied.Kind)))
	}
	return err
}

func (h *Handlers) machineToken(x *Exchange) error {
	in, out := machineBuffers.Get().(*[]byte), machineBuffers.Get().(*[]byte)
	defer machineBuffers.Put(in)
	defer machineBuffers.Put(out)
	r := x.Request()
	body, err := readForm(r, (*in)[:0])
	*in = body[:0]
	if err != nil {
		return err
	}
	header := r.Header
	if len(header["Authorization"]) > 1 || len(header["Dpop"]) > 1 {
		return fmt.Errorf("%w: a header is repeated", ErrBadRequest)
	}
	a, err := h.c.Machine.Token(r.Context(), (*out)[:0], machine.Request{
		Authorization: firstLine(header["Authorization"]), Query: r.URL.RawQuery, Body: body, DPoP: firstLine(header["Dpop"]),
		Fresh: wantsFresh(header),
	})
	if err != nil {
		return err
	}
	if a.TTL > 0 {
		*out = a.Body[:0] // it may have grown
	}
	x.Cache = string(a.How)
	if a.Client != "" {
		attrs := append(make([]slog.Attr, 0, 4), slog.String("client", a.Client), slog.String("scope", a.Scope), slog.String("cache", string(a.How)))
		if a.TTL > 0 { // or the provider did not say how long the token lives
			attrs = append(attrs, slog.Int64("expires_in", int64(a.TTL/time.Second)))
		}
		h.audit(x, "machine token issued", attrs...)
	}
	return x.machineAnswer(a)
}

// audit tells who was given what, or was turned away. It is a line of its own, and written whatever log.level is: a record that is made
// here is not asked for its level.
func (h *Handlers) audit(x *Exchange, message string, attrs ...slog.Attr) {
	r := x.Request()
	line := slog.NewRecord(h.c.Now(), slog.LevelInfo, message, 0)
	line.AddAttrs(attrs...)
	if x.Address != nil {
		line.AddAttrs(slog.String("address", x.Address(r)))
	}
	_ = h.c.Audit.Handle(r.Context(), line) // a log that cannot be written has nobody to tell
}

// why is a refusal in one word.
func why(kind error) string {
	switch kind {
	case machine.ErrClient:
		return "secret"
	case machine.ErrGrant:
		return "grant"
	case machine.ErrParameter:
		return "parameter"
	}
	return "scope"
}

var machineBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

// firstLine is the one line of a header, "" when there is none. The names are written as net/http keeps them.
func firstLine(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return lines[0]
}

// wantsFresh says whether a request would rather not have what is cached (RFC 9111, sections 5.2.1.1, 5.2.1.4 and 5.4). Another max-age is
// passed over: how old a token is says little about whether it is good.
func wantsFresh(h http.Header) bool {
	lines, ok := h["Cache-Control"]
	if !ok {
		lines, ok = h["Pragma"]
		return ok && slices.ContainsFunc(lines, func(line string) bool { return hasDirective(line, isNoCache) })
	}
	return slices.ContainsFunc(lines, func(line string) bool {
		return hasDirective(line, func(name, value string) bool {
			age, err := strconv.ParseUint(value, 10, 64)
			return isNoCache(name, value) || strings.EqualFold(name, "max-age") && err == nil && age == 0
		})
	})
}

func isNoCache(name, _ string) bool { return strings.EqualFold(name, "no-cache") }

// hasDirective looks at each directive of a line. A value may stand in quotes (RFC 9111, section 5.2).
func hasDirective(line string, is func(name, value string) bool) bool {
	for directive := range strings.SplitSeq(line, ",") {
		name, value, _ := strings.Cut(directive, "=")
		if is(strings.TrimSpace(name), strings.Trim(value, " \t\"")) {
			return true
		}
	}
	return false
}

// readForm reads a bounded form into buf, which it gives back grown also with an error.
func readForm(r *http.Request, buf []byte) ([]byte, error) {
	if !isForm(firstLine(r.Header["Content-Type"])) && r.ContentLength != 0 {
		return buf, fmt.Errorf("%w: not a form", ErrBadRequest)
	}
	if r.ContentLength > machine.MaxForm {
		return buf, ErrTooLarge
	}
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > machine.MaxForm:
			return buf, ErrTooLarge
		case errors.Is(err, io.EOF):
			return buf, nil
		case errors.Is(err, os.ErrDeadlineExceeded): // the listener's, for slow bodies
			return buf, fmt.Errorf("%w: %w", upstream.ErrRequestTimeout, err)
		case err != nil:
			return buf, fmt.Errorf("%w: %w", ErrBadRequest, err)
		}
	}
}

const formType = "application/x-www-form-urlencoded"

func isForm(contentType string) bool {
	if contentType == formType {
		return true
	}
	kind, _, err := mime.ParseMediaType(contentType)
	return kind == formType && (err == nil || errors.Is(err, mime.ErrInvalidMediaParameter)) // a form has no parameters that mean anything
}

// machineAnswer sends what the cache gave. What the provider said goes out as it came, but for headers that are not the answer's.
func (x *Exchange) machineAnswer(a machine.Answer) error {
	h := x.Response().Header()
	delete(h, "Vary")              // no cookie was read
	h["Pragma"] = noCache          // RFC 6749, section 5.1
	values := make([]string, 0, 6) // one allocation for the values of all headers
	set := func(name, value string) {
		if value != "" {
			values = append(values, value)
			h[name] = values[len(values)-1 : len(values) : len(values)]
		}
	}
	if a.ContentType == "" {
		h["Content-Type"] = nil // or net/http would guess one that the provider did not give
	}
	set("Content-Type", a.ContentType)
	set("Retry-After", a.RetryAfter)
	if len(a.WWWAuthenticate) > 0 {
		h["Www-Authenticate"] = slices.Clip(a.WWWAuthenticate)
	}
	set("Dpop-Nonce", a.DPoPNonce)
	if a.TTL > 0 && a.How != machine.HowMiss { // RFC 9111, section 5.1: an answer that was made for this very request has none
		set("Age", strconv.FormatInt(int64(a.Age/time.Second), 10))
	}
	set("Cache-Status", cacheStatus(a))
	set("Content-Length", strconv.Itoa(len(a.Body)))
	x.Response().WriteHeader(a.Status)
	_, err := x.Response().Write(a.Body)
	return err
}

// cacheStatus says in the words of RFC 9211 what the cache did.
func cacheStatus(a machine.Answer) string {
	status := append(make([]byte, 0, 96), statusWords(a)...)
	if a.Collapsed {
		status = append(status, "; collapsed"...)
	}
	if a.Origin != 0 {
		status = append(status, "; fwd-status="...)
		status = strconv.AppendInt(status, int64(a.Origin), 10)
	}
	if a.Stored {
		status = append(status, "; stored"...)
	}
	if a.TTL > 0 {
		status = append(status, "; ttl="...)
		status = strconv.AppendInt(status, int64(a.TTL/time.Second), 10)
	}
	switch a.How {
	case machine.HowShared, machine.HowNegative, machine.HowStale:
		status = append(append(status, "; detail="...), a.How...)
	}
	return string(status)
}

func statusWords(a machine.Answer) string {
	asked := a.Origin != 0 || a.Collapsed
	switch {
	case a.Forced && asked:
		return "vestibule; fwd=request"
	case a.How == machine.HowMiss, a.How == machine.HowError, a.How == machine.HowCollapsed:
		return "vestibule; fwd=miss"
	case a.How == machine.HowPass:
		return "vestibule; fwd=bypass"
	case a.How == machine.HowStale && asked:
		return "vestibule; fwd=stale"
	}
	return "vestibule; hit"
}
