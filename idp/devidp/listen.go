package devidp

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
var ErrNotLoopback = errors.New("devidp: the development provider listens on loopback only")

// listenLoopback listens on addr and gives the base URL under which it was asked for. The name is resolved here,
// once, and the resolved address is what gets bound, so no later answer of a resolver can move the listener.
func listenLoopback(addr string) (net.Listener, string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, "", fmt.Errorf("%w: address %q: %w", ErrConfig, addr, err)
	}
	ip, err := resolveLoopback(host)
	if err != nil {
		return nil, "", err
	}
	l, err := net.Listen("tcp", net.JoinHostPort(ip.String(), port))
	if err != nil {
		return nil, "", fmt.Errorf("listen for the development provider: %w", err)
	}
	bound, ok := l.Addr().(*net.TCPAddr)
	if !ok || !bound.IP.IsLoopback() {
		return nil, "", errors.Join(fmt.Errorf("%w: bound to %s", ErrNotLoopback, l.Addr()), l.Close())
	}
	return l, "http://" + net.JoinHostPort(host, fmt.Sprint(bound.Port)), nil
}

// resolveLoopback gives the address to bind. Every address of a name must be loopback, or none is used.
func resolveLoopback(host string) (netip.Addr, error) {
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
	return pickLoopback(host, found)
}

// pickLoopback prefers IPv4, which every browser tries for localhost.
func pickLoopback(host string, found []netip.Addr) (netip.Addr, error) {
	var pick netip.Addr
	for _, ip := range found {
		ip = ip.Unmap()
		if !ip.IsLoopback() {
			return netip.Addr{}, fmt.Errorf("%w: %s resolves to %s", ErrNotLoopback, host, ip)
		}
		if !pick.IsValid() || (ip.Is4() && !pick.Is4()) {
			pick = ip
		}
	}
	if !pick.IsValid() {
		return netip.Addr{}, fmt.Errorf("%w: %s has no address", ErrNotLoopback, host)
	}
	return pick, nil
}

// loopbackHostsOnly refuses requests that name another host: a public name whose owner pointed it at 127.0.0.1
// (DNS rebinding), or a tunnel that would put this provider on the internet.
func (s *Server) loopbackHostsOnly(next http.Handler) http.Handler {
	own := strings.TrimPrefix(s.base, "http://")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != own && !isLoopbackHost(r.Host) {
			http.Error(w, "this development provider answers to loopback names only", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isLoopbackHost(hostport string) bool {
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
