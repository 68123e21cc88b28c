// Package loopback keeps development servers on the machine that runs them: they hold readable passwords or accept
// what production would not, so nobody else may reach them.
//
// It owns listening on a loopback address and the judgement whether a Host header names one. It refuses every other
// address, names that resolve to one, and requests that came in under another name (DNS rebinding, tunnels).
//
//	Listen(addr) → http.Server with Only(host, handler)
package loopback

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// ErrNotLoopback is the refusal of an address that other machines could reach.
var ErrNotLoopback = errors.New("loopback: a development server listens on loopback only")

// ErrAddress is the refusal of an address that is not host:port.
var ErrAddress = errors.New("loopback: the address is not host:port")

// Listen listens on addr (host:port, port 0 for a free one) and gives the host:port under which it was asked for, with
// the port that was bound. The name is resolved here, once, and the resolved address is what gets bound, so no later
// answer of a resolver can move the listener. Errors: [ErrAddress], [ErrNotLoopback], or the operating system's.
func Listen(addr string) (net.Listener, string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %q: %w", ErrAddress, addr, err)
	}
	ip, err := resolve(host)
	if err != nil {
		return nil, "", err
	}
	l, err := net.Listen("tcp", net.JoinHostPort(ip.String(), port))
	if err != nil {
		return nil, "", fmt.Errorf("listen for a development server: %w", err)
	}
	bound, ok := l.Addr().(*net.TCPAddr)
	if !ok || !bound.IP.IsLoopback() {
		return nil, "", errors.Join(fmt.Errorf("%w: bound to %s", ErrNotLoopback, l.Addr()), l.Close())
	}
	return l, net.JoinHostPort(host, fmt.Sprint(bound.Port)), nil
}

// resolve gives the address to bind. Every address of a name must be loopback, or none is used.
func resolve(host string) (netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		if !ip.IsLoopback() || ip.Zone() != "" {
			return netip.Addr{}, fmt.Errorf("%w: %s", ErrNotLoopback, host)
		}
		return ip, nil
	}
	if host == "" {
		return netip.Addr{}, fmt.Errorf("%w: an empty host means every interface", ErrNotLoopback)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%w: resolve %q: %w", ErrNotLoopback, host, err)
	}
	return pick(host, found)
}

// pick prefers IPv4, which every browser tries for localhost.
func pick(host string, found []netip.Addr) (netip.Addr, error) {
	var best netip.Addr
	for _, ip := range found {
		ip = ip.Unmap()
		if !ip.IsLoopback() {
			return netip.Addr{}, fmt.Errorf("%w: %s resolves to %s", ErrNotLoopback, host, ip)
		}
		if !best.IsValid() || (ip.Is4() && !best.Is4()) {
			best = ip
		}
	}
	if !best.IsValid() {
		return netip.Addr{}, fmt.Errorf("%w: %s has no address", ErrNotLoopback, host)
	}
	return best, nil
}

// Only answers 421 to requests that name another host than own (host:port, as [Listen] gave it) or a loopback one: a
// public name whose owner pointed it at 127.0.0.1 (DNS rebinding), or a tunnel that would put the server on the internet.
func Only(own string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != own && !IsHost(r.Host) {
			http.Error(w, "this development server answers to loopback names only", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// IsHost reports whether a Host header, with or without a port, names this machine: localhost or a loopback address.
// Nothing is resolved.
func IsHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
