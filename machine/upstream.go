package machine

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	connectTimeout = 3 * time.Second
	// idleTimeout is below that of every server we know; a request on a connection that is just being closed is repeated at worst.
	idleTimeout = 4 * time.Second
	maxHeaders  = 64 << 10
)

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    connectTimeout,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaders,
	}
}

// reply is what the provider answered. It is never changed once made.
type reply struct {
	status      int
	contentType string
	retryAfter  string
	wwwAuth     []string
	dpopNonce   string
	body        []byte
	asked       time.Time
	took        time.Duration
	verdict     verdict
	code        string // the OAuth error code or AWS exception name, if it looks like one
}

// verdict is what a reply means.
type verdict int

const (
	granted     verdict = iota // a token that can be kept
	odd                        // an answer that is neither a token nor a reason: passed on, not kept
	refused                    // a definite no
	throttled                  // too many requests: nothing was done, come back later
	unavailable                // the provider fails
)

func (v verdict) String() string {
	return [...]string{"ok", "odd", "refused", "throttled", "unavailable"}[v]
}

// failed says that nothing came of a request, which says nothing about its credential.
func (v verdict) failed() bool { return v == throttled || v == unavailable }

// kind is what who comes meanwhile is told.
func (v verdict) kind() error {
	if v == throttled {
		return ErrBusy
	}
	return ErrUnavailable
}

// outbound is one request to the provider.
type outbound struct {
	query, body, authorization, dpop string
}

// post sends a form and reads the answer whole. An error means that there was no answer; it names no URL.
func (c *Cache) post(ctx context.Context, o outbound) (r reply, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.t.Call)
	defer cancel()
	r.verdict = unavailable
	address, err := c.c.TokenURL(ctx)
	if err != nil {
		return r, fmt.Errorf("find the token endpoint: %w", err)
	}
	if o.query != "" {
		address += joint(address) + o.query
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(o.body))
	if err != nil {
		return r, errors.New("the token endpoint is not a URL")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "vestibule")
	for name, value := range map[string]string{"Authorization": o.authorization, "DPoP": o.dpop} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	r.asked = c.c.Now()
	defer func() {
		r.took = c.c.Now().Sub(r.asked)
		c.c.Observe(Event{Kind: EventUpstream, Outcome: r.verdict.String(), Took: r.took})
	}()
	res, err := c.client.Do(req)
	if err != nil {
		return r, quiet(err)
	}
	defer func() { _ = res.Body.Close() }()
	if !speaks(res.StatusCode) { // before the body, which after 101 is a connection that may never say anything
		return r, fmt.Errorf("the provider answered with status %d, which no token endpoint has a use for", res.StatusCode)
	}
	// net/http has asked for gzip and undone it, and taken the header away then.
	if coding := strings.Join(res.Header["Content-Encoding"], ","); coding != "" && !strings.EqualFold(coding, "identity") {
		return r, errors.New("the provider's answer is encoded (Content-Encoding) in a way that was not asked for")
	}
	if r.body, err = io.ReadAll(io.LimitReader(res.Body, MaxForm+1)); err != nil {
		return r, quiet(err)
	}
	if len(r.body) > MaxForm {
		return r, fmt.Errorf("the provider's answer is over %d bytes", MaxForm)
	}
	h := res.Header
	r.status, r.contentType, r.retryAfter = res.StatusCode, h.Get("Content-Type"), h.Get("Retry-After")
	r.wwwAuth, r.dpopNonce = h.Values("WWW-Authenticate"), h.Get("DPoP-Nonce")
	r.verdict, r.code = judge(r)
	return r, nil
}

// speaks says whether a status can be passed on as an answer (RFC 6749, sections 5.1 and 5.2, in the widest reading). Redirects are not
// followed, and whatever else stands in a status line is no answer to a form.
func speaks(status int) bool { return status/100 == 2 || status/100 == 4 || status/100 == 5 }

// quiet drops the URL that net/http puts in front: its query is the caller's.
func quiet(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func joint(address string) string {
	if strings.Contains(address, "?") {
		return "&"
	}
	return "?"
}

// codeShape admits OAuth error codes and AWS exception names and hardly anything else: what a provider echoes must not come into
// our logs.
var codeShape = regexp.MustCompile(`^([a-z_]{1,40}|[A-Z][A-Za-z]{1,60}Exception)$`)

// judge reads status and error code. Cognito throttles with 400 and a name of AWS's, others with 429. Any other code is a no: providers
// have their own beside the registered ones (RFC 6749, section 8.5).
func judge(r reply) (verdict, string) {
	code := codeOf(r.body)
	throttling := []string{
		"TooManyRequestsException", "LimitExceededException", "ThrottlingException", "slow_down",
		"too_many_requests", "rate_limited", "rate_limit_exceeded",
	}
	failing := []string{"temporarily_unavailable", "server_error", "internal_failure"} // the last is Google's
	switch {
	case r.status == http.StatusTooManyRequests, slices.Contains(throttling, code):
		return throttled, code
	case r.status >= 500, r.status == http.StatusRequestTimeout, r.status == http.StatusTooEarly, slices.Contains(failing, code):
		return unavailable, code
	case r.status/100 == 4 && r.saysError(), r.status == http.StatusUnauthorized && r.challenges():
		return refused, code
	case r.status == http.StatusOK && code == "":
		if _, err := cut(r); err == nil {
			return granted, ""
		}
	}
	return odd, code
}

const codeInvalidClient = "invalid_client"

func codeOf(body []byte) string {
	var p struct {
		Error json.RawMessage `json:"error"`
		Type  json.RawMessage `json:"__type"`
	}
	if json.Unmarshal(body, &p) != nil {
		return ""
	}
	for _, raw := range []json.RawMessage{p.Error, p.Type} {
		var code string
		if len(raw) == 0 || json.Unmarshal(raw, &code) != nil || code == "" {
			continue
		}
		code = code[strings.LastIndexByte(code, '#')+1:]
		if codeShape.MatchString(code) {
			return code
		}
		return "other"
	}
	return ""
}

// errorShape is that of an OAuth error (RFC 6749, section 5.2), but for the space: a gateway's prose has some, and no provider's code.
var errorShape = regexp.MustCompile(`^[!#-\[\]-~]+$`)

// saysError tells a token endpoint's error from that of something in between, which repeats the words of its status if it has an error
// at all.
func (r *reply) saysError() bool {
	var p struct {
		Error json.RawMessage `json:"error"`
	}
	var code string
	if json.Unmarshal(r.body, &p) != nil || json.Unmarshal(p.Error, &code) != nil {
		return false
	}
	return errorShape.MatchString(code) && !strings.EqualFold(code, http.StatusText(r.status))
}

// challenges tells a token endpoint's 401 without an OAuth error from that of something in between, such as a proxy's page. RFC 9110,
// section 15.5.2, demands the challenge; providers that leave it out send JSON or nothing at all.
func (r *reply) challenges() bool {
	return len(r.wwwAuth) > 0 || len(bytes.TrimSpace(r.body)) == 0 || json.Valid(r.body)
}

// refusesClient recognises a refusal of the credential itself; some providers send 401 without a word. It may be wrong about a 401
// of something in between: what must not be undone for that has to ask for the verdict, too.
func (r *reply) refusesClient() bool {
	return r.verdict == refused && r.code == codeInvalidClient || r.status == http.StatusUnauthorized && r.code == ""
}

// mostWait bounds what is believed of a Retry-After.
const mostWait = time.Hour

// wait is what the provider asked for in Retry-After: seconds or a date (RFC 9110, section 10.2.3); 0: nothing.
func (r *reply) wait(now time.Time) time.Duration {
	text := strings.TrimSpace(r.retryAfter)
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, mostWait)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), mostWait)
	}
	return 0
}

// answer passes a reply on.
func (r *reply) answer(how How) Answer {
	return Answer{
		Status: r.status, ContentType: r.contentType, RetryAfter: r.retryAfter, WWWAuthenticate: r.wwwAuth, DPoPNonce: r.dpopNonce,
		Body: r.body, How: how, Origin: r.status,
	}
}
