// Package participants is the town around the pet shop: plain HTTP services that know nothing of sagas.
//
// All they ask of a caller is a token, and a key for every change: what comes twice under one key gets
// the first reply again. A request that undoes another names the key of that one: without it there is
// nothing to undo, and if it arrives later, it is refused.
package participants

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/skald-go/skald/examples/petshop/domain"
	"github.com/skald-go/skald/examples/petshop/identity"
)

// Town is all participants, each on a server of its own.
type Town struct {
	Identity *identity.Identity
	urls     map[string]string
	faults   plan
	journal  journal

	accounts  accounts
	pets      pets
	offers    offers
	backdrops backdrops
	quizzes   quizzes
	releases  releases
}

// Open starts the participants with what the town consists of, each on a port of its own.
func Open(s State) (*Town, error) {
	t := New(s)
	for _, svc := range t.services() {
		url, err := svc.listen()
		if err != nil {
			return nil, errors.Join(err, t.Close(context.Background()))
		}
		t.urls[svc.name] = url
	}
	return t, nil
}

// New makes participants that listen nowhere: Handler gives each.
func New(s State) *Town {
	t := &Town{Identity: identity.New("a secret of the town"), urls: map[string]string{}}
	s = s.clone()
	t.accounts.points, t.accounts.closed = s.Points, map[string]bool{}
	t.pets.stables = s.Stables
	t.offers.offers = s.Offers
	t.backdrops.stock, t.backdrops.owners = s.Backdrops, s.Owners
	t.quizzes.quizzes = s.Quizzes
	t.releases.releases = s.Releases
	t.routes()
	for _, svc := range t.services() {
		svc.identity, svc.faults, svc.journal = t.Identity, &t.faults, &t.journal
		svc.ledger = ledger{replies: map[string]reply{}, undone: map[string]bool{}}
	}
	return t
}

func (t *Town) services() []*service {
	return []*service{
		&t.accounts.service, &t.pets.service, &t.offers.service,
		&t.backdrops.service, &t.quizzes.service, &t.releases.service,
	}
}

func (t *Town) routes() {
	t.accounts.routes()
	t.pets.routes()
	t.offers.routes()
	t.backdrops.routes()
	t.quizzes.routes()
	t.releases.routes()
}

// Close ends the participants, after the requests that they are working on.
func (t *Town) Close(ctx context.Context) (err error) {
	for _, svc := range t.services() {
		err = errors.Join(err, svc.shutdown(ctx))
	}
	return err
}

// URL is where a participant is.
func (t *Town) URL(service string) string { return t.urls[service] }

// Handler is what a participant does with requests, or nil if there is none of that name.
func (t *Town) Handler(service string) http.Handler {
	for _, svc := range t.services() {
		if svc.name == service {
			return &svc.mux
		}
	}
	return nil
}

// Plan adds faults. Of those that are for one request, the first is used.
func (t *Town) Plan(faults ...Fault) { t.faults.add(faults) }

// Repair ends all faults.
func (t *Town) Repair() { t.faults.clear() }

// SetClosed closes or opens an account.
func (t *Town) SetClosed(user string, closed bool) {
	t.accounts.mu.Lock()
	defer t.accounts.mu.Unlock()
	t.accounts.closed[user] = closed
}

// Journal is what the participants noted of the requests of one saga, in order.
func (t *Town) Journal(saga string) (entries []Entry) {
	t.journal.mu.Lock()
	defer t.journal.mu.Unlock()
	for _, e := range t.journal.entries {
		if strings.Contains(e.Key, "/"+saga+"/") {
			entries = append(entries, e)
		}
	}
	return entries
}

// State is all that the participants hold.
type State struct {
	Points    map[string]int
	Stables   map[string]map[string]domain.Pet // by user and pet
	Offers    map[string]domain.Offer
	Backdrops map[string]domain.Backdrop
	Owners    map[string]map[string]bool // by backdrop and user
	Quizzes   map[string]domain.Quiz
	Releases  map[string]domain.Release // by pet
}

// State gives a copy of what the participants hold now.
func (t *Town) State() State {
	for _, svc := range t.services() {
		svc.mu.Lock()
		defer svc.mu.Unlock()
	}
	return State{
		Points: t.accounts.points, Stables: t.pets.stables, Offers: t.offers.offers, Backdrops: t.backdrops.stock,
		Owners: t.backdrops.owners, Quizzes: t.quizzes.quizzes, Releases: t.releases.releases,
	}.clone()
}

func (s State) clone() State {
	return State{
		Points: copied(s.Points), Stables: copiedDeep(s.Stables), Offers: copied(s.Offers), Backdrops: copied(s.Backdrops),
		Owners: copiedDeep(s.Owners), Quizzes: copied(s.Quizzes), Releases: copied(s.Releases),
	}
}

// TotalPoints is how many points there are.
func (s State) TotalPoints() (sum int) {
	for _, points := range s.Points {
		sum += points
	}
	return sum
}

// AllPets lists the pets of all users, and those that wait in offers.
func (s State) AllPets() []domain.Pet {
	var all []domain.Pet
	for _, stable := range s.Stables {
		all = slices.AppendSeq(all, maps.Values(stable))
	}
	for _, offer := range s.Offers {
		if offer.Status != domain.Sold {
			all = append(all, offer.Pet)
		}
	}
	slices.SortFunc(all, func(a, b domain.Pet) int { return strings.Compare(a.ID, b.ID) })
	return all
}

func copied[K comparable, V any](m map[K]V) map[K]V {
	c := make(map[K]V, len(m))
	maps.Copy(c, m)
	return c
}

// copiedDeep leaves out what is empty, so that states can be compared.
func copiedDeep[K, L comparable, V any](m map[K]map[L]V) map[K]map[L]V {
	c := make(map[K]map[L]V, len(m))
	for k, inner := range m {
		if len(inner) > 0 {
			c[k] = copied(inner)
		}
	}
	return c
}
