package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/examples/petshop/domain"
	"github.com/skald-go/skald/examples/petshop/participants"
	"github.com/skald-go/skald/examples/petshop/shop"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/sagatest"
)

// village is the town without a network: the shop's requests are function calls, so that time may be virtual.
type village struct {
	*participants.Town
	shop   *shop.Shop
	mangle func(*http.Request) // nil, or a mistake in every request
}

func newVillage() *village {
	v := &village{Town: participants.New(noon())}
	v.shop = shop.NewOver(v, func(service string) string { return "http://" + service }, v.Identity)
	return v
}

// RoundTrip implements http.RoundTripper.
func (v *village) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if v.mangle != nil {
		r = r.Clone(r.Context())
		v.mangle(r)
	}
	w := httptest.NewRecorder()
	v.Handler(r.URL.Host).ServeHTTP(w, r)
	return w.Result(), nil
}

func (v *village) as(user string) shop.Caller {
	return shop.Caller{User: user, Token: v.Identity.Token(user, 24*time.Hour)}
}

// books is what the participants hold. What is in a capsule is chance: of pets only their IDs count.
func (v *village) books() any {
	s := v.State()
	for _, stable := range s.Stables {
		for id := range stable {
			stable[id] = domain.Pet{ID: id}
		}
	}
	return s
}

func (v *village) points() int { return v.State().TotalPoints() }

func (v *village) pets() int { return len(v.State().AllPets()) }

// fail lets the requests of a step fail until they are to work again.
func (v *village) fail(path string) (repair func()) {
	v.Plan(participants.Fault{At: path + "/do", Times: participants.Always, Fail: true},
		participants.Fault{At: path + "/read", Times: participants.Always, Fail: true})
	return v.Repair
}

// matrix runs the matrix of one of the shop's sagas.
func matrix[I, O any](t *testing.T, saga func(*shop.Shop) flow.Flow[I, O], in func(v *village) I, invariants ...sagatest.Invariant[*village]) {
	t.Helper()
	sagatest.Matrix(t, func(v *village) flow.Flow[I, O] { return saga(v.shop) }, villageWorld(in, invariants...))
}

// villageWorld is what the sagas of the shop have in common.
func villageWorld[I any](in func(v *village) I, invariants ...sagatest.Invariant[*village]) sagatest.World[*village, I] {
	return sagatest.World[*village, I]{
		New: newVillage, Input: in, Snapshot: (*village).books, Invariants: invariants, Break: (*village).fail, Options: shop.Options(),
	}
}

func TestMatrixOfTheShop(t *testing.T) {
	points, pets := sagatest.Conserved("points", (*village).points), sagatest.Conserved("pets", (*village).pets)
	t.Run("buy-pet", func(t *testing.T) {
		matrix(t, func(s *shop.Shop) flow.Flow[shop.OnOffer, domain.Pet] { return s.BuyPet },
			func(v *village) shop.OnOffer { return shop.OnOffer{Caller: v.as("bob"), Offer: "o-1"} }, points, pets)
	})
	t.Run("buy-pet from oneself", func(t *testing.T) {
		matrix(t, func(s *shop.Shop) flow.Flow[shop.OnOffer, domain.Pet] { return s.BuyPet },
			func(v *village) shop.OnOffer { return shop.OnOffer{Caller: v.as("ada"), Offer: "o-1"} }, points, pets)
	})
	t.Run("withdraw-offer", func(t *testing.T) {
		matrix(t, func(s *shop.Shop) flow.Flow[shop.OnOffer, domain.Pet] { return s.WithdrawOffer },
			func(v *village) shop.OnOffer { return shop.OnOffer{Caller: v.as("ada"), Offer: "o-1"} }, points, pets)
	})
	t.Run("offer-pet", func(t *testing.T) {
		matrix(t, func(s *shop.Shop) flow.Flow[shop.NewOffer, domain.Offer] { return s.OfferPet },
			func(v *village) shop.NewOffer {
				return shop.NewOffer{Caller: v.as("ada"), ID: "o-2", Pet: "mia", Price: 80}
			}, points, pets)
	})
	t.Run("draw-capsules", func(t *testing.T) {
		matrix(t, func(s *shop.Shop) flow.Flow[shop.Draw, []domain.Pet] { return s.DrawCapsules },
			func(v *village) shop.Draw { return shop.Draw{Caller: v.as("bob"), Capsules: 2} })
	})
	t.Run("post-quiz", func(t *testing.T) {
		matrix(t, func(s *shop.Shop) flow.Flow[shop.NewQuiz, domain.Quiz] { return s.PostQuiz },
			func(v *village) shop.NewQuiz { return shop.NewQuiz{Caller: v.as("ada"), Title: "Birds"} }, pets)
	})
	t.Run("buy-backdrop", func(t *testing.T) {
		matrix(t, func(s *shop.Shop) flow.Flow[shop.WantBackdrop, domain.Backdrop] { return s.BuyBackdrop },
			func(v *village) shop.WantBackdrop { return shop.WantBackdrop{Caller: v.as("bob"), Backdrop: "beach"} }, pets)
	})
	t.Run("release-pet", func(t *testing.T) {
		matrix(t, func(s *shop.Shop) flow.Flow[shop.TakePet, domain.Balance] { return s.ReleasePet },
			func(v *village) shop.TakePet { return shop.TakePet{Caller: v.as("bob"), Pet: "tom"} })
	})
}

// The same sagas, with mistakes in how their requests are named.
func TestMatrixFindsMistakesInTheShop(t *testing.T) {
	for _, c := range []struct {
		mistake string
		mangle  func(*http.Request)
		says    string
	}{
		{"undos share the keys of their steps", func(r *http.Request) {
			r.Header.Set(participants.KeyHeader, strings.TrimSuffix(strings.TrimSuffix(r.Header.Get(participants.KeyHeader), "/do"), "/undo"))
			r.Header.Del(participants.UndoesHeader)
		}, "it uses the idempotency key of the step"},
		{"undos do not say what they undo", func(r *http.Request) {
			r.Header.Del(participants.UndoesHeader)
		}, "assumes the effect, although Known is false"},
	} {
		t.Run(c.mistake, func(t *testing.T) {
			world := villageWorld(func(v *village) shop.WantBackdrop { return shop.WantBackdrop{Caller: v.as("bob"), Backdrop: "beach"} })
			world.New = func() *village {
				v := newVillage()
				v.mangle = c.mangle
				return v
			}
			report := sagatest.Examine(t, func(v *village) flow.Flow[shop.WantBackdrop, domain.Backdrop] { return v.shop.BuyBackdrop }, world)
			require.NotEmpty(t, report.Failures)
			named := map[string]bool{}
			for _, m := range report.Mistakes() {
				if strings.Contains(m.Text, c.says) {
					named[m.Step] = true
				}
			}
			assert.True(t, named["take-points"], "%v", report)
		})
	}
}
