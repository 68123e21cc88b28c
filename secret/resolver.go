package secret

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// lookEvery is how often Run looks for values that are due; far below the spread of keepFor.
const lookEvery = time.Minute

// Config is what a Resolver reads from. The zero Config reads the real environment, real
// files and, when an awssm: reference is met, AWS with the SDK's usual settings.
type Config struct {
	// LookupEnv reads env: references; nil means os.LookupEnv.
	LookupEnv func(name string) (string, bool)
	// ReadFile reads file: references; nil means the file system, at most 64 kB.
	ReadFile func(path string) ([]byte, error)
	// AWS reads one version of a secret; nil means the AWS SDK, which is set up at the
	// first use and honours AWS_REGION, AWS_ENDPOINT_URL and its other variables. Its error is ErrNoSuchVersion where
	// only the version is missing.
	AWS func(ctx context.Context, want AWSSecret) ([]byte, error)
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Logger hears of refreshes that failed; nil means silence.
	Logger *slog.Logger
	// OnFailure counts refreshes that failed, by reference; nil means nobody counts.
	OnFailure func(ref string)
}

// Resolver turns references into Values and keeps those Values fresh. It is safe for
// concurrent use.
type Resolver struct {
	config Config

	mu      sync.Mutex
	sources map[string]*source // reference → where its value lives
}

// NewResolver makes a Resolver. It reads nothing yet.
func NewResolver(c Config) *Resolver {
	if c.LookupEnv == nil {
		c.LookupEnv = os.LookupEnv
	}
	if c.ReadFile == nil {
		c.ReadFile = readFile
	}
	if c.AWS == nil {
		c.AWS = new(amazon).fetch
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Resolver{config: c, sources: make(map[string]*source)}
}

// ReferenceError says which reference could not be read, why, and what to do. It never
// holds the value.
type ReferenceError struct {
	Ref     string // as configured
	Problem string // lower case, no full stop
	Hint    string // the cure, as an order
	Err     error  // the cause, may be nil
}

// Error gives the reference, the problem, its cause and the cure in one line.
func (e *ReferenceError) Error() string {
	text := e.Ref + ": " + e.Problem
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text + " (" + e.Hint + ")"
}

// Unwrap returns the cause.
func (e *ReferenceError) Unwrap() error { return e.Err }

// IsReference reports whether text names a place to read a secret from. Any other text
// is a literal.
func IsReference(text string) bool {
	scheme, _, found := strings.Cut(text, ":")
	return found && (scheme == "env" || scheme == "file" || scheme == "awssm")
}

// Resolve reads a secret: env:NAME, file:/path (one trailing line break is dropped),
// awssm:NAME-OR-ARN[#jsonKey][@STAGE], and any other text is the secret itself. Empty
// text is a Value that is not set; an empty secret behind a reference is an error, as is
// one over 64 kB. Errors are a *ReferenceError. file: and awssm: Values are read again
// hourly by Run, and asking twice for one reference reads once.
func (r *Resolver) Resolve(ctx context.Context, ref string) (Value, error) {
	if !IsReference(ref) {
		return New([]byte(ref)), nil
	}
	scheme, name, _ := strings.Cut(ref, ":")
	switch scheme {
	case "env":
		text, err := r.readEnv(ref, name)
		return New(text), err
	case "file":
		return r.follow(ctx, &source{ref: ref, local: true, fetch: func(context.Context) ([]byte, error) { return r.readPath(ref, name) }})
	default:
		want, err := parseAWS(ref, name)
		if err != nil {
			return Value{}, err
		}
		return r.follow(ctx, &source{ref: ref, fetch: func(ctx context.Context) ([]byte, error) { return r.readAWS(ctx, ref, want) }})
	}
}

// Run refreshes Values as they fall due, until ctx ends. A refresh that fails leaves the
// last good bytes, is logged and counted, and is tried again within minutes.
func (r *Resolver) Run(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, s := range r.dueSources() {
			_ = s.refresh(ctx) // reported by failed, once for all who wait
		}
	}
}

func (r *Resolver) dueSources() []*source {
	r.mu.Lock()
	defer r.mu.Unlock()
	var due []*source
	for _, s := range r.sources {
		if s.isDue() {
			due = append(due, s)
		}
	}
	return due
}

// follow opens the source and remembers it, unless one of its reference is known already.
func (r *Resolver) follow(ctx context.Context, s *source) (Value, error) {
	if known, ok := r.known(s.ref); ok {
		return Value{src: known}, nil
	}
	s.now, s.report, s.log = r.config.Now, r.failed, r.config.Logger
	if err := s.open(ctx); err != nil {
		return Value{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if first, known := r.sources[s.ref]; known {
		s = first
	}
	r.sources[s.ref] = s
	return Value{src: s}, nil
}

func (r *Resolver) known(ref string) (*source, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, known := r.sources[ref]
	return s, known
}

func (r *Resolver) failed(ref string, err error) {
	r.config.Logger.Warn("secret not refreshed, the last good value stays", "reference", ref, "error", err)
	if r.config.OnFailure != nil {
		r.config.OnFailure(ref)
	}
}
