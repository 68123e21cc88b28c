package idp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

const (
	connectTimeout = 3 * time.Second
	// idleTimeout is below that of every server we know (Node's 5 s is the shortest): a refresh that is sent on a connection
	// which the server is just closing is lost, and may not be repeated.
	idleTimeout = 4 * time.Second
	// maxAnswer bounds every answer of the provider, in bytes.
	maxAnswer  = 1 << 20
	maxHeaders = 64 << 10
)

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    connectTimeout,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaders,
	}
}

// stayHere keeps every redirect from being followed: it would carry a code, a token or our secret elsewhere.
func stayHere(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// answer is what came back for one request.
type answer struct {
	status int
	header http.Header
	body   []byte
	// asked is when the request was sent, took how long it lasted.
	asked time.Time
	took  time.Duration
}

// send makes one request and reads its answer whole. It fails for the network and for answers that are too large
// to be one; Lost is false only where it is certain that nothing was written.
func (p *Provider) send(req *http.Request, operation string) (answer, *Error) {
	var unsent atomic.Bool
	// Until there is a connection nothing can have been written. The transport itself sends a POST again only
	// when not one byte of it had left, and then asks for a connection again.
	trace := &httptrace.ClientTrace{
		GetConn: func(string) { unsent.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { unsent.Store(false) },
	}
	ctx := httptrace.WithClientTrace(req.Context(), trace)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "vestibule")
	a := answer{asked: p.cfg.Now()}
	res, err := p.client.Do(req.WithContext(ctx))
	if err != nil {
		a.took = p.cfg.Now().Sub(a.asked)
		return a, networkError(operation, err, !unsent.Load() && !neverDialled(err))
	}
	defer res.Body.Close()
	a.status, a.header = res.StatusCode, res.Header
	a.body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	a.took = p.cfg.Now().Sub(a.asked)
	if err != nil {
		return a, networkError(operation, err, true)
	}
	success := a.status/100 == 2
	if len(a.body) > maxAnswer || isHTML(a.header) {
		// A page or a flood tells nothing beyond its status.
		a.body = nil
		if success {
			return a, &Error{Kind: ErrMalformed, Operation: operation, Status: a.status, Lost: true, detail: "too large, or HTML"}
		}
	}
	return a, nil
}

// get fetches a JSON document.
func (p *Provider) get(ctx context.Context, operation, address string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, &Error{Kind: ErrMisconfigured, Operation: operation, detail: "the address is not a URL"}
	}
	a, fail := p.send(req, operation)
	if fail == nil && a.status != http.StatusOK {
		v := classify(answer{status: a.status})
		fail = &Error{Kind: v.kind, Operation: operation, Status: a.status, RetryAfter: retryAfter(a.header.Get("Retry-After"), p.cfg.Now())}
		if v.kind == nil {
			fail.Kind = ErrMalformed
		}
	}
	if fail == nil {
		p.observe(operation, nil, a.took)
		return a.body, nil
	}
	fail.detail, fail.Lost = strings.TrimPrefix(fail.detail+": "+place(req.URL), ": "), false
	p.observe(operation, fail, a.took)
	return nil, fail
}

// place is a URL without what may be private in it.
func place(u *url.URL) string {
	return printable((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String())
}

func (p *Provider) observe(operation string, err error, took time.Duration) {
	p.cfg.Observe(Call{Operation: operation, Outcome: outcome(err), Duration: took})
}

// neverDialled recognises failures before there was a connection, for transports that report no trace.
func neverDialled(err error) bool {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return true
	}
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// networkError describes a failed request. Only causes whose text is known to be harmless are told: a *url.Error
// prints the URL, and a complaint about a malformed answer prints the answer.
func networkError(operation string, err error, lost bool) *Error {
	e := &Error{Kind: ErrUnavailable, Operation: operation, Lost: lost}
	e.detail, e.cause = harmless(err)
	return e
}

func harmless(err error) (text string, cause error) {
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return "timed out", context.DeadlineExceeded
	}
	if errors.Is(err, context.Canceled) {
		return "cancelled", context.Canceled
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return printable(e.Error()), e
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return printable(e.Error()), e
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return printable(e.Error()), e
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return printable(e.Error()), e
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "the connection was closed", io.ErrUnexpectedEOF
	}
	return "the request failed", nil
}
