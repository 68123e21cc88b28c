package lab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"vestibule/loopback"
)

// Bounds of what passes through the witness, and of how long the provider behind it may take.
const (
	largestForm  = 64 << 10
	largestReply = 256 << 10
	askLimit     = 30 * time.Second
)

// Delay is how long the provider takes for a refresh.
type Delay struct {
	Before time.Duration // until it has decided: a caller that dies meanwhile was not served
	After  time.Duration // from then until the answer arrives: a caller that dies meanwhile has spent its token for nothing
}

// Witness stands between the replicas and the provider's token endpoint: it passes calls on, lets refreshes take their time, and
// writes down which refresh token was spent how often. It keeps hashes, no tokens. It listens on loopback only. Its methods are safe
// for concurrent use.
type Witness struct {
	provider string
	delay    Delay
	client   *http.Client
	server   *http.Server
	base     string

	mu     sync.Mutex
	chains map[string]*chain           // authorization code → all that came of it
	links  map[[sha256.Size]byte]*link // hash of a refresh token → its place
	dying  map[int]bool                // replicas that are being killed, or were
	dead   map[int]bool                // replicas that nothing is taken from any more
	hear   func(m Moment, replica int) // nil: nobody
}

// NewWitness listens on a free port and passes calls on to the token endpoint. Error: the operating system's refusal.
func NewWitness(tokenEndpoint string, d Delay) (*Witness, error) {
	listener, own, err := loopback.Listen("127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the witness: %w", err)
	}
	w := &Witness{
		provider: tokenEndpoint, delay: d, base: "http://" + own,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: askLimit},
		chains: map[string]*chain{}, links: map[[sha256.Size]byte]*link{}, dying: map[int]bool{}, dead: map[int]bool{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /replica/{replica}/token", w.token)
	w.server = &http.Server{
		Handler: loopback.Only(own, mux), ReadHeaderTimeout: 5 * time.Second,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo), // calls that are cut off are the experiment
	}
	go func() { _ = w.server.Serve(listener) }() // it ends with Close
	return w, nil
}

// Endpoint is the token endpoint that the replica is to be configured with.
func (w *Witness) Endpoint(replica int) string {
	return w.base + "/replica/" + strconv.Itoa(replica) + "/token"
}

// Close ends every call under way.
func (w *Witness) Close() error {
	err := w.server.Close()
	w.client.CloseIdleConnections()
	if err != nil {
		return fmt.Errorf("close the witness: %w", err)
	}
	return nil
}

func (w *Witness) watch(hear func(Moment, int)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hear = hear
}

func (w *Witness) tell(m Moment, replica int) {
	w.mu.Lock()
	hear := w.hear
	w.mu.Unlock()
	if hear != nil {
		hear(m, replica)
	}
}

func (w *Witness) token(rw http.ResponseWriter, r *http.Request) {
	replica, err := strconv.Atoi(r.PathValue("replica"))
	if err != nil {
		http.NotFound(rw, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, largestForm))
	if err != nil {
		http.Error(rw, "the form cannot be read", http.StatusBadRequest)
		return
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		http.Error(rw, "the form cannot be read", http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	a := w.arrived(replica, form, cancel)
	if a == nil {
		panic(http.ErrAbortHandler) // a dead replica does not ask
	}
	reply, err := w.pass(ctx, r.Header, body, form, a)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	w.answered(a)
	rw.Header().Set("Content-Type", reply.contentType)
	rw.Header().Set("Content-Length", strconv.Itoa(len(reply.body)))
	rw.Header().Set("Cache-Control", "no-store")
	rw.WriteHeader(reply.status)
	_, _ = rw.Write(reply.body)
	_ = http.NewResponseController(rw).Flush() // it is on its way before anybody hears that it is
	if isRefresh(form) {
		w.tell(Answered, a.replica)
	}
}

// reply is what the provider said.
type reply struct {
	status      int
	contentType string
	body        []byte
}

// pass takes a call to the provider and its answer back. Once the provider was asked, it decides whether or not the caller still
// lives: a real one would too.
func (w *Witness) pass(ctx context.Context, header http.Header, body []byte, form url.Values, a *ask) (reply, error) {
	refresh := isRefresh(form)
	if refresh {
		if !pause(ctx, w.delay.Before/2) {
			return reply{}, w.giveUp(ctx, a)
		}
		w.tell(Asked, a.replica)
		if !pause(ctx, w.delay.Before-w.delay.Before/2) {
			return reply{}, w.giveUp(ctx, a)
		}
	}
	answer, err := w.forward(context.WithoutCancel(ctx), header, body)
	if err != nil {
		_ = w.giveUp(ctx, a)
		return reply{}, err
	}
	w.decided(form, answer, a)
	if refresh {
		if !pause(ctx, w.delay.After/2) {
			return reply{}, w.giveUp(ctx, a)
		}
		w.tell(Decided, a.replica)
		if !pause(ctx, w.delay.After-w.delay.After/2) {
			return reply{}, w.giveUp(ctx, a)
		}
	}
	return answer, nil
}

func (w *Witness) forward(ctx context.Context, header http.Header, body []byte) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.provider, bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	for _, name := range []string{"Content-Type", "Authorization", "Accept"} {
		if v := header.Get(name); v != "" {
			req.Header.Set(name, v)
		}
	}
	res, err := w.client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = res.Body.Close() }() // it was read
	b, err := io.ReadAll(io.LimitReader(res.Body, largestReply))
	return reply{status: res.StatusCode, contentType: res.Header.Get("Content-Type"), body: b}, err
}
