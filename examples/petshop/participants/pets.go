package participants

import (
	"encoding/json"

	"github.com/skald-go/skald/examples/petshop/domain"
)

// stableLimit is how many pets a user can have.
const stableLimit = 12

// pets holds the users' pets.
type pets struct {
	service
	stables map[string]map[string]domain.Pet
}

func (p *pets) routes() {
	p.name = "pets"
	p.handle("POST /stables/{user}/take", p.take)
	p.handle("POST /stables/{user}/put", p.put)
}

// take removes pets, all or none, and gives them as they were.
func (p *pets) take(r *request) (any, error) {
	var in struct{ Pets []string }
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	user := r.PathValue("user")
	taken := make([]domain.Pet, 0, len(in.Pets))
	for _, id := range in.Pets {
		pet, found := p.stables[user][id]
		if !found {
			return nil, &domain.NoSuchPet{Pet: id, Owner: user}
		}
		taken = append(taken, pet)
	}
	for _, id := range in.Pets {
		delete(p.stables[user], id)
	}
	return taken, nil
}

// put adds pets, all or none. To undo a take whose reply was lost, the caller does not know the pets
// that were taken: the first reply to it does.
func (p *pets) put(r *request) (any, error) {
	var in struct{ Pets []domain.Pet }
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	if r.undo && len(in.Pets) == 0 {
		if err := json.Unmarshal(r.first.body, &in.Pets); err != nil {
			return nil, err
		}
	}
	user := r.PathValue("user")
	if !r.undo && len(p.stables[user])+len(in.Pets) > stableLimit {
		return nil, &domain.StableFull{User: user, Limit: stableLimit}
	}
	for _, pet := range in.Pets {
		if p.exists(pet.ID) {
			return nil, domain.ErrPetExists
		}
	}
	for _, pet := range in.Pets {
		p.add(user, pet)
	}
	return in.Pets, nil
}

func (p *pets) add(user string, pet domain.Pet) {
	if p.stables[user] == nil {
		p.stables[user] = map[string]domain.Pet{}
	}
	p.stables[user][pet.ID] = pet
}

func (p *pets) exists(id string) bool {
	for _, stable := range p.stables {
		if _, found := stable[id]; found {
			return true
		}
	}
	return false
}
