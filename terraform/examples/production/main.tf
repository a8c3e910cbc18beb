# The team's cluster: see terraform.tfvars. Fixed machines stay with Terraform; Joinery adds worker-scalable beside them.

module "cluster" {
  source = "../../modules/cluster"

  cluster            = var.cluster
  kubernetes_version = var.kubernetes_version

  network = {
    zones        = var.zones
    nat_per_zone = true
  }

  control_plane = {
    machines      = var.control_plane_machines
    instance_type = "t3.xlarge"
  }

  base_workers = var.base_workers

  joinery = {
    wheel  = var.wheel
    sha256 = var.wheel_sha256
    settings = {
      maxNodes        = 20
      maxPricePerHour = 5
    }
    pool = {
      name   = "worker-scalable"
      zones  = var.zones
      labels = { role = "worker" }
      taints = ["workload=ai:NoSchedule"]
    }
  }

  create_kms_key     = true
  interruption_queue = true

  access = { additional_policy_arns = { ssm = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore" } }

  tags = { Team = var.cluster }
}
