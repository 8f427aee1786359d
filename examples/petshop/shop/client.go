package shop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/skald-go/skald/examples/petshop/domain"
	"github.com/skald-go/skald/examples/petshop/identity"
	"github.com/skald-go/skald/examples/petshop/trace"
	"github.com/skald-go/skald/step"
)

// client calls the participants. Each call names the attempt that makes it by its idempotency key, and
// an undo the step that it undoes.
type client struct {
	http     *http.Client
	urls     func(service string) string
	identity *identity.Identity
}

func newClient(transport http.RoundTripper, urls func(service string) string, id *identity.Identity) *client {
	return &client{http: &http.Client{Transport: trace.Transport{Next: transport}}, urls: urls, identity: id}
}

// get and post call a participant with the user's token. Whatever it refuses had no effect.
func (c *client) get[O any](ctx context.Context, who Caller, service string, path ...string) (out O, err error) {
	err = c.call(ctx, call{method: http.MethodGet, token: who.Token, service: service, path: path}, &out)
	return out, refused(err)
}

func (c *client) post[O any](ctx context.Context, who Caller, in any, service string, path ...string) (out O, err error) {
	err = c.call(ctx, call{method: http.MethodPost, token: who.Token, service: service, path: path, in: in}, &out)
	return out, refused(err)
}

// undo calls a participant with a token of the shop, because the user's may have expired. If the
// participant refuses, it is of no use to ask again.
func (c *client) undo(ctx context.Context, in any, service string, path ...string) error {
	token := c.identity.Token("petshop", time.Minute)
	err := c.call(ctx, call{method: http.MethodPost, token: token, service: service, path: path, in: in}, nil)
	if _, ok := err.(*refusal); ok {
		return step.GiveUp(err.(*refusal).error)
	}
	return err
}

// refusal is what a participant gave as its reason to do nothing.
type refusal struct{ error }

func refused(err error) error {
	if r, ok := err.(*refusal); ok {
		return step.Refused(r.error)
	}
	return err
}

// call is one request to a participant.
type call struct {
	method, token, service string
	path                   []string
	in                     any
}

func (c *client) call(ctx context.Context, call call, out any) error {
	r, err := c.request(ctx, call)
	if err != nil {
		return err
	}
	response, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	switch {
	case response.Header.Get("Content-Type") == domain.ProblemType && response.StatusCode < 500:
		var p domain.Problem
		if err := json.NewDecoder(response.Body).Decode(&p); err != nil {
			return fmt.Errorf("shop: a problem of %s: %w", call.service, err)
		}
		return &refusal{p.Err()}
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("shop: %s answers %s", call.service, response.Status)
	case out == nil:
		return nil
	}
	if err := json.NewDecoder(response.Body).Decode(out); err != nil {
		return fmt.Errorf("shop: the answer of %s: %w", call.service, err)
	}
	return nil
}

func (c *client) request(ctx context.Context, call call) (*http.Request, error) {
	target, err := url.JoinPath(c.urls(call.service), escaped(call.path)...)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(call.in)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, call.method, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	info := step.InfoFrom(ctx)
	r.Header.Set("Authorization", "Bearer "+call.token)
	r.Header.Set("Idempotency-Key", info.Key())
	if info.Undo {
		info.Undo = false
		r.Header.Set("Compensates", info.Key())
	}
	return r, nil
}

func escaped(path []string) []string {
	parts := make([]string, len(path))
	for k, p := range path {
		parts[k] = url.PathEscape(p)
	}
	return parts
}
