# The team's terraform.tfvars, planned and "applied" against a provider that answers nothing of its own.
mock_provider "aws" {
  source = "../../testing"
}

run "the_story" {
  assert {
    condition     = length(output.control_plane_instance_ids) + length(output.base_worker_instance_ids) == 18
    error_message = "The story has 18 fixed nodes."
  }
}
