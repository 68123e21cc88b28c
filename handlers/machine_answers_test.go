package handlers_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"vestibule/idp/devidp"
	"vestibule/kv"
	"vestibule/machine"
)

// raw is a token endpoint that answers each request with the same bytes.
func raw(t *testing.T, answer string) func(*options) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				// Closed by the other side, or never: after 101 a connection stays.
				if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					_ = r.ParseForm()
					_, _ = c.Write([]byte(answer))
				}
			}()
		}
	}()
	return func(o *options) {
		o.machine = &machine.Config{TokenURL: func(context.Context) (string, error) { return "http://" + l.Addr().String(), nil }}
	}
}

func (c *service) refresh() answer {
	return c.post(machinePath, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}})
}

func TestNoStatusOfTheProviderBecomesAFailureOfOurs(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"000 x", "099 x", "101 Switching Protocols", "302 Found", "304 Not Modified", "399 x", "600 x", "999 x"} {
		t.Run(line[:3], func(t *testing.T) {
			t.Parallel()
			s := newServer(t, raw(t, "HTTP/1.1 "+line+"\r\nContent-Length: 0\r\n\r\n"))
			a := s.service(t).refresh()
			a.wants(t, http.StatusServiceUnavailable, `{"error":"temporarily_unavailable"}`)
			if a.header.Get("Retry-After") == "" {
				t.Error("Retry-After is missing")
			}
		})
	}
}

func TestHeadersOfAnErrorArriveAsTheProviderSentThem(t *testing.T) {
	t.Parallel()
	s := newServer(t, raw(t, "HTTP/1.1 401 x\r\nWWW-Authenticate: Basic realm=\"a\"\r\nWWW-Authenticate: DPoP algs=\"ES256\"\r\nContent-Length: 12\r\n\r\n<html>x<br/>"))
	c := s.service(t)
	for name, a := range map[string]answer{"another grant": c.refresh(), "a machine": c.ask("")} {
		a.wants(t, http.StatusUnauthorized, "<html>x<br/>")
		if got, want := a.header.Values("WWW-Authenticate"), []string{`Basic realm="a"`, `DPoP algs="ES256"`}; !slices.Equal(got, want) {
			t.Errorf("%s: WWW-Authenticate: got %q, want %q", name, got, want)
		}
		if got, found := a.header["Content-Type"]; found {
			t.Errorf("%s: Content-Type: got %q, want none: the provider gave none", name, got)
		}
	}
}

func TestAnUnknownTokenEndpointIsATokenEndpointThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s := newServer(t, withMachines)
	s.faults(t, devidp.Faults{Discovery: devidp.Fault{Status: 500}})
	c := s.service(t)
	for name, a := range map[string]answer{"a machine": c.ask(""), "another grant": c.refresh()} {
		a.wants(t, http.StatusServiceUnavailable, `{"error":"temporarily_unavailable"}`)
		if a.header.Get("Retry-After") == "" {
			t.Errorf("%s: Retry-After is missing", name)
		}
	}
}

func TestWhatIsAnsweredInOurOwnWordsIsCountedAndClaimsNothingOfTheCache(t *testing.T) {
	t.Parallel()
	s := named(t, func(o *options, _ *machine.Client) { o.machine.Rate = 1 })
	c := s.service(t)
	c.id, c.secret = "billing", "wrong"
	answers := map[string]answer{
		"a wrong secret": c.ask(""),
		"no form":        c.send(http.MethodPost, machinePath, `{}`, "Content-Type: application/json"),
		"no grant":       c.post(machinePath, url.Values{"x": {"y"}}),
		"too large":      c.ask("", "x", strings.Repeat("x", 64<<10)),
	}
	c.secret = ownKey
	answers["a scope of another"] = c.ask("", "scope", "vestibule/write")
	s.faults(t, devidp.Faults{Discovery: devidp.Fault{Status: 500}, Token: devidp.Fault{DropBefore: true}})
	answers["an outage"] = c.ask("")
	answers["a pause"] = c.ask("")
	for name, a := range answers {
		if got := a.header.Values("Cache-Status"); a.status < 400 || len(got) != 0 { // RFC 9211, section 2
			t.Errorf("%s: got %d, Cache-Status %q, want an error without one", name, a.status, got)
		}
	}
	s.tells(t, "after seven refusals", map[string]string{
		`vestibule_machine_answers_total{cache="denied"}`: "2", `vestibule_machine_answers_total{cache="invalid"}`: "3",
		`vestibule_machine_answers_total{cache="unavailable"}`: "2",
	})
	for _, how := range []string{"denied", "invalid", "unavailable"} {
		if !strings.Contains(s.logs.String(), "cache="+how) {
			t.Errorf("no record of a request says cache=%s", how)
		}
	}
}

func TestThrottlingIsCountedAsBusy(t *testing.T) {
	t.Parallel()
	s := newServer(t, withMachines)
	s.faults(t, devidp.Faults{Token: devidp.Fault{Status: 429, RetryAfter: "20"}})
	c := s.service(t)
	c.ask("")
	a := c.ask("")
	a.wants(t, http.StatusTooManyRequests, `{"error":"temporarily_unavailable"}`)
	if got, want := a.header.Get("Retry-After")+a.cache(), "20"; got != want {
		t.Errorf("got %q, want %q alone", got, want)
	}
	s.tells(t, "after one of each", map[string]string{
		`vestibule_machine_answers_total{cache="error"}`: "1", `vestibule_machine_answers_total{cache="busy"}`: "1",
	})
}

func TestTheAuditSaysWhereARequestCameFromAndWhoseNameWasUsed(t *testing.T) {
	t.Parallel()
	s := named(t, nil)
	c := s.service(t)
	c.id, c.secret = "billing", ownKey
	c.ask("").machineToken(t)
	c.ask("", "scope", "vestibule/write")
	c.post(machinePath, url.Values{"grant_type": {"refresh_token"}, "client_id": {"billing"}, "client_secret": {ownKey}})
	c.secret = "guessed-by-somebody"
	c.ask("")
	c.id = "stranger"
	c.ask("")
	log := s.logs.String()
	for _, want := range []string{
		`msg="machine token issued" client=billing scope=vestibule/read cache=miss expires_in=3600 address=127.0.0.1`,
		`msg="machine token denied" client=billing why=scope address=127.0.0.1`,
		`msg="machine token denied" client=billing why=grant address=127.0.0.1`,
		`msg="machine token denied" client=billing why=secret address=127.0.0.1`,
	} {
		if strings.Count(log, want) != 1 {
			t.Errorf("the audit lacks %q:\n%s", want, log)
		}
	}
	if strings.Contains(log, "guessed") || strings.Contains(log, "stranger") {
		t.Errorf("the log tells too much:\n%s", log)
	}
}

func TestAParameterThatAContentTypeShouldNotHaveIsNoMatter(t *testing.T) {
	t.Parallel()
	s := newServer(t, withMachines)
	c := s.service(t)
	body := fmt.Sprintf("grant_type=client_credentials&client_id=%s&client_secret=%s", c.id, c.secret)
	for contentType, status := range map[string]int{
		"application/x-www-form-urlencoded; charset":       200,
		"application/x-www-form-urlencoded;charset=UTF-8;": 200,
		"Application/X-WWW-Form-Urlencoded; =":             200,
		"application/x-www-form; charset":                  400,
		"text/plain; charset":                              400,
	} {
		if a := c.send(http.MethodPost, machinePath, body, "Content-Type: "+contentType); a.status != status {
			t.Errorf("%s: got %d %s, want %d", contentType, a.status, a.body, status)
		}
	}
}

// lostStore answers nothing.
type lostStore struct{ kv.Store }

func (lostStore) Get(context.Context, string) (kv.Entry, error) {
	return kv.Entry{}, errors.New("lost")
}

func TestAnAnswerThatIsTooLargeToBeKeptDoesNotSayThatItIs(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.machine = &machine.Config{Store: lostStore{}} })
	s.faults(t, devidp.Faults{Token: devidp.Fault{RawBody: `{"access_token":"` + strings.Repeat("x", 63<<10) + `","expires_in":3600}`}})
	a := s.service(t).ask("")
	a.machineToken(t)
	if got, want := a.cache(), "vestibule; fwd=miss; fwd-status=200; ttl=3600"; got != want {
		t.Errorf("Cache-Status: got %q, want %q", got, want)
	}
}

// late is a body that does not come in time.
type late struct{ io.Reader }

// Read implements io.Reader.
func (l late) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}
	}
	return n, err
}

// It is not the form that is wrong: sent once more it may do (RFC 9110, section 15.5.9).
func TestABodyThatDoesNotComeInTimeIsToldSo(t *testing.T) {
	t.Parallel()
	s := newServer(t, withMachines)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, s.url+machinePath, late{strings.NewReader("grant_type=client_cre")})
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	s.web.Handler().ServeHTTP(w, r)
	if got, want := w.Body.String(), `{"error":"invalid_request"}`; w.Code != http.StatusRequestTimeout || got != want {
		t.Errorf("got %d %s, want 408 %s", w.Code, got, want)
	}
}
