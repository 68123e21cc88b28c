package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"vestibule/idp/devidp"
	"vestibule/secret"
)

// The demo's servers listen on loopback and nowhere else: they hold readable passwords. Within a container that is the container's own
// loopback, which a published port does not lead to. With --published the demo passes on what comes to the container's other addresses,
// at three ports that are known beforehand. Who may come is then for whoever publishes them to say: "-p 127.0.0.1:8080:8080", as
// docker-compose.yml has it. The servers still answer to loopback names only, so a page of somebody else's cannot use them.
const (
	publishedProvider = 1  // its port is the demo's and so many more
	publishedEvents   = 2  //
	publishedBeside   = 10 // of what serves beside the demo, with its provider: see handOver
	publishedAtOnce   = 256
	// handedClient is the demo's client where others use it too: a name, no secret.
	handedClient = "vestibule-demo"
)

// inContainer goes by a variable that our image sets, as podman and systemd do.
func inContainer(p process) bool {
	kind, _ := p.lookup("container")
	return kind != ""
}

var errNotInContainer = hinted{errors.New("demo: --published is for containers: here it would show the demo, passwords and all, to the network"),
	"leave it out: the demo is at http://localhost:8080"}

// portAfter is the port n after that of host:port.
func portAfter(hostport string, n int) (string, error) {
	_, text, err := net.SplitHostPort(hostport)
	if err != nil {
		return "", err
	}
	port, err := strconv.Atoi(text)
	if err != nil || port+publishedBeside > 65535 {
		return "", hinted{fmt.Errorf("listen: no ports are left after %s", clip(text)), "write --listen=localhost:8080"}
	}
	return strconv.Itoa(port + n), nil
}

// outside are the addresses under which others reach this container.
func outside() ([]netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("find the addresses of this container: %w", err)
	}
	var out []netip.Addr
	for _, a := range all {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().IsGlobalUnicast() {
			out = append(out, prefix.Addr())
		}
	}
	return out, nil
}

// publish passes connections on: from each address, at the port of each target, to the target. stop ends that.
func publish(from []netip.Addr, targets ...string) (stop func(), err error) {
	var listeners []net.Listener
	stop = func() {
		for _, l := range listeners {
			_ = l.Close()
		}
	}
	for _, target := range targets {
		_, port, err := net.SplitHostPort(target)
		if err != nil {
			return nil, err
		}
		for _, ip := range from {
			l, err := listen("listen", net.JoinHostPort(ip.String(), port))
			if err != nil {
				stop()
				return nil, err
			}
			listeners = append(listeners, l)
			go passOn(l, target)
		}
	}
	return stop, nil
}

func passOn(l net.Listener, target string) {
	room := make(chan struct{}, publishedAtOnce)
	for {
		room <- struct{}{}
		client, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = client.Close(); <-room }()
			server, err := net.Dial("tcp", target)
			if err != nil {
				return
			}
			defer server.Close()
			var both sync.WaitGroup
			both.Go(func() { pour(server, client) })
			both.Go(func() { pour(client, server) })
			both.Wait()
		}()
	}
}

// pour copies until the end, and passes the end on as what it is: a good-bye, or a cut.
func pour(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		_, _ = to.Close(), from.Close()
		return
	}
	_ = to.(*net.TCPConn).CloseWrite()
}

// handOver lets instances of serve beside the demo sign in at its provider, at localhost and the demo's port and ten more. They find
// what they need in the folder: a secret of the client's and a key for sessions, both made anew at each start, so that none is ever
// written down where somebody could take it for a good one.
func handOver(folder, address string, provider *devidp.Server) error {
	port, err := portAfter(address, publishedBeside)
	if err != nil {
		return err
	}
	origin := "http://localhost:" + port
	if err := errors.Join(
		provider.AllowRedirect(origin+"/api/auth/sign-in-callback"),
		provider.AllowLogout(origin+"/api/auth/sign-out-callback"),
	); err != nil {
		return fmt.Errorf("let %s sign in at the demo's provider: %w", origin, err)
	}
	for name, value := range map[string]string{"client-secret": provider.ClientSecret(), "session-key": secret.GenerateKey()} {
		if err := leave(folder, name, value); err != nil {
			return hinted{fmt.Errorf("demo: hand over %s: %w", name, cause(err)), "name a folder that this user may write to with --handover=/folder"}
		}
	}
	return nil
}

// leave puts a secret into a file for its owner alone. The file is a new one in the place of the old, never what stands under that name:
// writing to that would keep permissions that let others read it, and follow a link.
func leave(folder, name, value string) error {
	f, err := os.CreateTemp(folder, "."+name+"-") // new (O_EXCL), and for its owner
	if err != nil {
		return err
	}
	_, err = f.WriteString(value + "\n")
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(folder, name))
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the folder is in trouble already
	}
	return err
}

// open makes the demo reachable from outside its container, as far as the flags say. shut undoes it.
func (f demoFlags) open(address string, public net.Listener) (shut func(), err error) {
	if !f.published {
		return func() {}, nil
	}
	from, err := outside()
	if err != nil {
		return nil, err
	}
	places, err := f.places(address)
	if err != nil {
		return nil, err
	}
	return publish(from, public.Addr().String(), places.provider, places.events)
}

// places are where the stand-ins listen; the zero value is free ports of their choice.
type places struct{ provider, events string }

func (f demoFlags) places(address string) (places, error) {
	if !f.published {
		return places{}, nil
	}
	provider, err := portAfter(address, publishedProvider)
	if err != nil {
		return places{}, err
	}
	events, err := portAfter(address, publishedEvents)
	return places{"127.0.0.1:" + provider, "127.0.0.1:" + events}, err
}

// clientID is the demo's client where others are to know it; empty: the provider makes one up.
func (f demoFlags) clientID() string {
	if f.handover == "" {
		return ""
	}
	return handedClient
}
